#include "evaluation/html.h"

#include <fmt/format.h>

#include <algorithm>

namespace imagerank::evaluation {
namespace {

/// Bytes of the UTF-8 sequence that starts at `at`, or 0 if none well-formed does (overlong, surrogate, cut short).
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
      (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return length;
}

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#fafaf7;--card:#fff;--ink:#1c1e22;--muted:#5d626a;--line:#dfdfd8;--head:#1f57c4;
--base:#737982;--oracle:#157a4e;--warn-bg:#fff5dc;--warn:#8a5a00;--warn-line:#e0a526;--bad:#b3261e;--cell:31,87,196}
@media (prefers-color-scheme:dark){:root{--bg:#131518;--card:#1b1e22;--ink:#e8e9eb;--muted:#a0a6ae;--line:#343940;
--head:#82abff;--base:#9aa1aa;--oracle:#5ccb98;--warn-bg:#2f2711;--warn:#f2cd78;--warn-line:#a87d1c;--bad:#ff8f86;
--cell:130,171,255}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:74rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .35rem;text-wrap:balance}
h2{font-size:1.2rem;line-height:1.3;margin:2.6rem 0 .6rem}
h3{font-size:1rem;margin:0 0 .5rem}
p{margin:.4rem 0;max-width:46rem}
.lede,.hint,figcaption,caption{color:var(--muted)}
.hint,figcaption,caption{font-size:.875rem}
caption{text-align:left;padding:0 0 .5rem}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.warnings{background:var(--warn-bg);border:1px solid var(--warn-line);border-radius:8px;padding:.9rem 1.1rem;margin:1.3rem 0 0}
.warnings h2{margin:0 0 .3rem;font-size:1rem;color:var(--warn)}
.warnings ul{margin:0;padding-left:1.15rem}
.warnings li{margin:.25rem 0}
.warnings li::first-line{font-weight:inherit}
.verdict{font-size:1.12rem;line-height:1.45;font-weight:600;margin:1.5rem 0 0;padding-left:.9rem;border-left:4px solid var(--base);max-width:52rem}
.verdict.good{border-color:var(--oracle)}
.verdict.bad{border-color:var(--bad)}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem 1.1rem;margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(25rem,100%),1fr));gap:1rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.4rem .9rem .6rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.86rem}
th,td{padding:.38rem .45rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
tr:last-child>*{border-bottom:0}
thead th{color:var(--muted);font-weight:600;font-size:.82rem;vertical-align:bottom;white-space:normal;min-width:4.2rem}
th[scope=row],th.left,td.left{text-align:left}
th[scope=row]{font-weight:500}
td.head{font-weight:650;color:var(--head)}
td .ci{display:block;font-weight:400;font-size:.72rem;color:var(--muted)}
td.none{color:var(--muted)}
tr.chosen>*{background:rgba(var(--cell),.09)}
tr.base>*{color:var(--muted)}
.above{color:var(--bad)}
.badge{display:inline-block;font-size:.74rem;font-weight:600;color:var(--oracle);border:1px solid currentColor;border-radius:99px;padding:0 .5rem;margin-left:.4rem}
.plot{margin:0}
.row{display:grid;grid-template-columns:13.5rem 1fr 10.5rem;gap:.9rem;align-items:center;padding:.2rem 0}
.row .what{font-weight:500;overflow-wrap:anywhere}
.row .what small{display:block;color:var(--muted);font-weight:400;line-height:1.3}
.row .value{font-variant-numeric:tabular-nums;font-size:.9rem;white-space:nowrap}
.row .value small{color:var(--muted)}
.row.head .what,.row.head .value{color:var(--head)}
.row.head .value small{color:var(--muted)}
.row svg{display:block;width:100%;height:26px;overflow:visible}
.row.axis{padding:0}
.row.axis svg{height:18px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--muted)}
svg .rail,svg .grid{stroke:var(--line);stroke-width:1}
svg .chance,svg .rule{stroke:var(--muted);stroke-width:1;stroke-dasharray:3 3}
svg .whisker{stroke:currentColor;stroke-width:3;stroke-linecap:round;opacity:.5}
svg .dot{fill:currentColor}
.k-head,.k-a{color:var(--head)}.k-baseline,.k-b{color:var(--base)}.k-oracle,.k-c{color:var(--oracle)}
svg .path{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
svg .k-b .path{stroke-dasharray:5 3}
svg .tag{fill:currentColor;font-weight:600}
svg.chart{display:block;width:100%;height:auto;max-width:30rem}
table.confusion{width:auto}
table.confusion td{min-width:4.6rem}
.prompt{margin:0 0 1.7rem}
.prompt>p{font-weight:500;overflow-wrap:anywhere;max-height:7.6em;overflow:auto}
.strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.6rem,1fr));gap:.8rem;list-style:none;margin:.6rem 0 0;padding:0}
.strip li{background:var(--card);border:1px solid var(--line);border-radius:8px;overflow:hidden;font-size:.85rem}
.strip li.won{border-color:var(--oracle);box-shadow:0 0 0 1px var(--oracle)}
.strip img,.strip .gap{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:rgba(128,128,128,.12)}
.strip .gap{display:grid;place-items:center;color:var(--muted);padding:.6rem;text-align:center}
.strip div.say{padding:.45rem .6rem .55rem;line-height:1.4}
.strip b{font-variant-numeric:tabular-nums}
.strip .votes{display:block;color:var(--muted)}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.3rem 1.2rem;margin:0}
dt{color:var(--muted)}dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
details{margin-top:2.4rem}summary{cursor:pointer;font-weight:600}
details dl{margin-top:.8rem;font-size:.9rem}
@media (max-width:44rem){main{padding:1.3rem 1rem 3rem}h1{font-size:1.4rem}
.row{grid-template-columns:1fr auto;gap:.1rem .8rem;padding:.45rem 0}.row .track{grid-column:1/-1;grid-row:2}
.row .what small{display:inline;margin-left:.4rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}
.strip{grid-template-columns:repeat(2,1fr)}}
@media print{.scroll{overflow:visible}details{display:block}}
)css";

bool is_share(Metric metric) {
  switch (metric) {
    case Metric::kAccuracy:
    case Metric::kBalancedAccuracy:
    case Metric::kPairStrictMicro:
    case Metric::kPairStrictMacro:
    case Metric::kPairPickscore:
    case Metric::kPairHpsInversion:
    case Metric::kRecallAt1:
      return true;
    default:
      return false;
  }
}

/// Fixed decimals, without a sign before a number that rounds to 0.
std::string fixed(double value, int decimals) {
  auto text = fmt::format("{:.{}f}", value, decimals);
  if (text.front() == '-' && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string share_text(double share) { return fixed(100.0 * share, 1) + " %"; }

std::string interval_row(const IntervalRow& row) {
  const auto& estimate = row.estimate;
  std::string drawing = R"(<line class="rail" x1="0" x2="100%" y1="13" y2="13"/>)"
                        R"(<line class="chance" x1="50%" x2="50%" y1="0" y2="26"/>)";
  std::string value = "&#8212;";
  if (estimate.value) {
    if (estimate.low) {
      drawing += fmt::format(R"(<line class="whisker" x1="{:.2f}%" x2="{:.2f}%" y1="13" y2="13"/>)",
                             100.0 * *estimate.low, 100.0 * *estimate.high);
    }
    drawing += fmt::format(R"(<circle class="dot" cx="{:.2f}%" cy="13" r="5"/>)", 100.0 * *estimate.value);
    value = share_text(*estimate.value);
    if (estimate.low) {
      value += fmt::format(" <small>[{:.1f}, {:.1f}]</small>", 100.0 * *estimate.low, 100.0 * *estimate.high);
    }
  }
  return fmt::format(
      R"(<div class="row {0}" role="listitem"><div class="what">{1}<small>{2}</small></div>)"
      R"(<div class="track"><svg class="k-{0}" aria-hidden="true">{3}</svg></div><div class="value">{4}</div></div>)"
      "\n",
      row.kind, escape_html(row.label), escape_html(row.note), drawing, value);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      result += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (length > 1) {
      result.append(text.substr(i, length));
    } else if (byte == '&') {
      result += "&amp;";
    } else if (byte == '<') {
      result += "&lt;";
    } else if (byte == '>') {
      result += "&gt;";
    } else if (byte == '"') {
      result += "&quot;";
    } else if (byte == '\'') {
      result += "&#39;";
    } else if ((byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7F) {
      result += "\xEF\xBF\xBD";
    } else {
      result += text[i];
    }
    i += length;
  }
  return result;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  result.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      result += j <= left ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return result;
}

std::string html_page(std::string_view title, std::string_view body) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // Nothing is fetched and nothing runs, whatever a prompt may hold.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "img-src data:\">\n<title>";
  page += escape_html(title);
  page += "</title>\n<style>";
  page += kStyle;
  page += "</style>\n</head>\n<body>\n<main>\n";
  page += body;
  page += "</main>\n</body>\n</html>\n";
  return page;
}

std::string metric_text(Metric metric, const std::optional<double>& value) {
  if (!value) return "\xE2\x80\x94";
  return is_share(metric) ? share_text(*value) : fixed(*value, 3);
}

std::string interval_text(Metric metric, const Estimate& estimate) {
  if (!estimate.low || !estimate.high) return "";
  const double scale = is_share(metric) ? 100.0 : 1.0;
  const int decimals = is_share(metric) ? 1 : 3;
  return fmt::format("{} to {}", fixed(scale * *estimate.low, decimals), fixed(scale * *estimate.high, decimals));
}

std::string count_text(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

std::string interval_plot(std::span<const IntervalRow> rows, std::string_view caption) {
  std::string plot = "<figure class=\"card plot\"><div role=\"list\">\n";
  for (const auto& row : rows) plot += interval_row(row);
  plot +=
      "</div>\n<div class=\"row axis\" aria-hidden=\"true\"><div></div><div class=\"track\"><svg>"
      R"(<text x="0" y="13">0 %</text><text x="25%" y="13" text-anchor="middle">25</text>)"
      R"(<text x="50%" y="13" text-anchor="middle">50, chance</text><text x="75%" y="13" text-anchor="middle">75</text>)"
      R"(<text x="100%" y="13" text-anchor="end">100 %</text></svg></div><div></div></div>)"
      "\n";
  plot += fmt::format("<figcaption>{}</figcaption></figure>\n", escape_html(caption));
  return plot;
}

}  // namespace imagerank::evaluation
