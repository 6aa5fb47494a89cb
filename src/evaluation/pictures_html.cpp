#include <fmt/format.h>

#include "evaluation/report_parts.h"

namespace imagerank::evaluation {
namespace {

std::string image_html(const Picture& picture, const std::string& prompt) {
  if (picture.data_uri.empty())
    return fmt::format("<div class=\"gap\">no picture: {}</div>", escape_html(picture.missing));
  return fmt::format(R"(<img src="{}" alt="image {} for: {}" loading="lazy">)", escape_html(picture.data_uri),
                     escape_html(picture.uid), escape_html(shortened(prompt, 120)));
}

std::string votes_text(const Picture& picture) {
  std::string votes = fmt::format("best in {} of {}", picture.won, picture.won + picture.lost);
  if (picture.won + picture.lost == 0) votes = "never in a decided vote";
  if (picture.tied > 0) votes += fmt::format(", {} tied", picture.tied);
  return votes;
}

std::string say_html(const Picture& picture, const std::string& prompt_html) {
  return fmt::format("<div class=\"say\">{}score <b>{:.3f}</b><span class=\"votes\">{}</span></div>", prompt_html,
                     picture.score, votes_text(picture));
}

std::string prompt_text(const std::string& prompt, std::size_t bytes) {
  return prompt.empty() ? "<i>(empty prompt)</i>" : escape_html(shortened(prompt, bytes));
}

std::string strip(const PromptPictures& prompt) {
  std::string html =
      fmt::format("<section class=\"prompt\"><p>{}</p>\n<ul class=\"strip\">\n", prompt_text(prompt.prompt, 600));
  for (const auto& picture : prompt.pictures) {
    html += picture.won > 0 ? "<li class=\"won\">" : "<li>";
    html += image_html(picture, prompt.prompt) + say_html(picture, "") + "</li>\n";
  }
  html += "</ul>\n";
  if (prompt.left_out > 0) {
    html += fmt::format("<p class=\"hint\">{} images between these are not shown.</p>\n", prompt.left_out);
  }
  return html + "</section>\n";
}

std::string gallery_html(const Gallery& gallery) {
  const bool pairs = gallery.items.front().pictures.size() > 1;
  std::string html = fmt::format("<h3>{}</h3>\n<p class=\"hint\">{}</p>\n<ul class=\"strip{}\">\n",
                                 escape_html(gallery.title), escape_html(gallery.hint), pairs ? " pairs" : "");
  for (const auto& item : gallery.items) {
    const auto prompt = fmt::format("<span class=\"for\">{}</span>", prompt_text(item.prompt, 160));
    if (!pairs) {
      const auto& picture = item.pictures.front();
      html += fmt::format("<li{}>{}{}</li>\n", picture.won > 0 ? " class=\"won\"" : "",
                          image_html(picture, item.prompt), say_html(picture, prompt));
      continue;
    }
    html += fmt::format("<li><div class=\"say\">{}</div><div class=\"two\">", prompt);
    for (const auto& picture : item.pictures) {
      html += fmt::format("<div{}>{}{}</div>", picture.won > 0 ? " class=\"won\"" : "",
                          image_html(picture, item.prompt), say_html(picture, ""));
    }
    html += "</div></li>\n";
  }
  return html + "</ul>\n";
}

}  // namespace

std::string pictures_html(const EvaluationReport& report) {
  std::string html;
  if (!report.pictures.empty()) {
    html += fmt::format(
        "<h2>What it likes and what people chose</h2>\n<p class=\"hint\">{} prompts of the {} split, drawn at random, "
        "not "
        "picked. Highest score first; green: people chose it as the best at least once.</p>\n",
        report.pictures.size(), escape_html(report.data.split));
    for (const auto& prompt : report.pictures) html += strip(prompt);
  }
  if (!report.galleries.empty()) html += "<h2>Extremes</h2>\n";
  for (const auto& gallery : report.galleries) {
    if (!gallery.items.empty()) html += gallery_html(gallery);
  }
  return html;
}

}  // namespace imagerank::evaluation
