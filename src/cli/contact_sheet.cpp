#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "cli/best_of.h"
#include "cli/thumbnails.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "evaluation/html.h"
#include "images/decode.h"
#include "images/encode.h"
#include "probes/edits.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kEdge = 192;    // of a picture
constexpr std::int32_t kGap = 8;       // around it
constexpr std::int32_t kCaption = 30;  // the strip above a row
constexpr std::int32_t kScore = 18;    // the strip below a picture
constexpr std::size_t kMostColumns = 16;
constexpr std::size_t kMostRows = 200;  // of a PNG: 45,000 pixels high
constexpr std::size_t kMostOnPage = 1000;

/// nullopt for one that went away, or no longer decodes, since it was scored.
std::optional<images::Image> load_small(const fs::path& path) {
  try {
    return thumbnail(images::load_image(path), kEdge);
  } catch (const Error&) {
    return std::nullopt;
  }
}

void paste(const images::Image& source, std::int32_t left, std::int32_t top, images::Image& sheet) {
  for (std::int32_t y = 0; y < source.height; ++y) {
    const auto from = source.pixels.begin() + std::ptrdiff_t{y} * source.width * 3;
    std::copy_n(from, std::ptrdiff_t{source.width} * 3,
                sheet.pixels.begin() + (std::ptrdiff_t{top + y} * sheet.width + left) * 3);
  }
}

images::Image filled(std::int32_t width, std::int32_t height, std::uint8_t level) {
  images::Image image{width, height, {}};
  image.pixels.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, level);
  return image;
}

images::Image words(std::int32_t width, std::int32_t height, std::string_view text) {
  images::Image image = filled(width, height, 0);
  probes::write_words(image, text);
  return image;
}

std::string png_sheet(const std::vector<JudgedGroup>& groups, std::size_t rows, std::size_t keep) {
  constexpr std::int32_t kCell = kEdge + kGap, kRow = kCaption + kEdge + kScore + kGap;
  const auto columns = static_cast<std::int32_t>(std::min(keep, kMostColumns));
  images::Image sheet = filled(columns * kCell + kGap, static_cast<std::int32_t>(rows) * kRow + kGap, 255);
  for (std::size_t row = 0; row < rows; ++row) {
    const JudgedGroup& judged = groups[row];
    const std::int32_t top = static_cast<std::int32_t>(row) * kRow + kGap;
    paste(words(sheet.width - 2 * kGap, kCaption - kGap / 2, judged.group.prompt), kGap, top, sheet);
    const std::size_t shown = std::min(judged.chosen(keep), kMostColumns);
    for (std::size_t place = 0; place < shown; ++place) {
      const std::size_t index = judged.order[place];
      const std::int32_t left = kGap + static_cast<std::int32_t>(place) * kCell;
      if (const auto picture = load_small(judged.group.images[index])) {
        paste(*picture, left + (kEdge - picture->width) / 2, top + kCaption + (kEdge - picture->height) / 2, sheet);
      }
      paste(words(kEdge, kScore, fmt::format("{:.4f}", judged.items[index].score)), left, top + kCaption + kEdge,
            sheet);
    }
  }
  return images::encode_png(sheet);
}

std::string html_sheet(const std::vector<JudgedGroup>& groups, std::size_t rows, std::size_t keep) {
  evaluation::Page page;
  page.add("<h1>The best of each prompt's images</h1>\n");
  for (std::size_t row = 0; row < rows; ++row) {
    const JudgedGroup& judged = groups[row];
    page.add(fmt::format("<section class=\"prompt\"><p>{}</p>\n<ul class=\"strip\">\n",
                         evaluation::escape_html(judged.group.prompt)));
    for (std::size_t place = 0; place < judged.chosen(keep); ++place) {
      const std::size_t index = judged.order[place];
      const std::string name = evaluation::escape_html(judged.group.images[index].filename().string());
      const auto picture = load_small(judged.group.images[index]);
      page.add(picture ? fmt::format(R"(<li><img src="{}" alt="{}" loading="lazy">)", jpeg_data_uri(*picture), name)
                       : std::string("<li><div class=\"gap\">no picture</div>"));
      page.add(fmt::format("<div class=\"say\">score <b>{:.4f}</b><span class=\"votes\">{}</span></div></li>\n",
                           judged.items[index].score, name));
    }
    const std::size_t others = judged.items.size() - judged.chosen(keep);
    page.add(fmt::format("</ul>\n<p class=\"hint\">{} of {} candidates are not shown.</p></section>\n", others,
                         judged.items.size()));
  }
  return page.html("The best of each prompt's images");
}

}  // namespace

std::size_t write_contact_sheet(const fs::path& path, const std::vector<JudgedGroup>& groups, std::size_t keep) {
  const bool page = path.extension() == ".html";
  const std::size_t rows = std::min(groups.size(), page ? kMostOnPage : kMostRows);
  write_file_atomically(path, page ? html_sheet(groups, rows, keep) : png_sheet(groups, rows, keep));
  return groups.size() - rows;
}

}  // namespace imagerank::cli
