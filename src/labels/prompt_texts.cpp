#include "labels/prompt_texts.h"

#include <string>
#include <utility>

#include "workspace/csv_writer.h"

namespace imagerank::labels {

void PromptTexts::fill(workspace::Database& database) {
  constexpr std::size_t kBuffer = std::size_t{1} << 20;
  file_.emplace(folder_ / "prompts");
  places_.assign(static_cast<std::size_t>(database.query_integer("SELECT count(*) FROM prompt_key")), {});
  std::string buffer;
  std::uint64_t written = 0;
  const auto append = [&](std::string_view text) {
    const Range range = {written + buffer.size(), static_cast<std::uint32_t>(text.size())};
    buffer += text;
    return range;
  };
  database.for_each_chunk("SELECT prompt_id, prompt FROM prompt_key", [&](const workspace::Table& rows) {
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      const std::string& text = rows.columns[1].text[i];
      Place& place = places_[static_cast<std::size_t>(rows.columns[0].integer[i]) - 1];
      place.text = place.field = append(text);
      if (workspace::CsvWriter::needs_quotes(text)) place.field = append(workspace::CsvWriter::field(text));
    }
    if (buffer.size() < kBuffer) return;
    file_->write(buffer);
    written += buffer.size();
    buffer.clear();
  });
  file_->write(buffer);
  mapped_ = MappedFile(file_->temporary_path());
}

}  // namespace imagerank::labels
