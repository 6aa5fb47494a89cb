#include "cli/command_tokenize.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <memory>

#include "clip/encoder.h"
#include "clip/tokenizer.h"
#include "core/fail.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t kFlushBytes = std::size_t{1} << 16;
constexpr std::uint64_t kLinesBetweenChecks = 1024;

/// @throws Error kCorruptData naming the line.
std::string text_of_line(const std::string& line, std::uint64_t number) {
  nlohmann::json parsed;
  try {
    parsed = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kCorruptData, "standard input: line {}: expected a JSON object, found: {}", number, error.what());
  }
  if (!parsed.is_object() || !parsed.contains("text") || !parsed.at("text").is_string()) {
    fail(ErrorCode::kCorruptData, "standard input: line {}: expected an object with the string \"text\", found {}",
         number, line.substr(0, 60));
  }
  return parsed.at("text").get<std::string>();
}

}  // namespace

int run_tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out, Terminal& terminal) {
  const auto cleaning =
      options.text_cleaning == "openai" ? clip::TextCleaning::kOpenAi : clip::TextCleaning::kHuggingFace;
  const clip::Tokenizer tokenizer = clip::Tokenizer::load(clip::resolve_model(options.model), cleaning);
  const RunContext context = terminal.context();
  std::string line;
  std::string buffer;
  std::uint64_t number = 0;
  while (std::getline(in, line)) {
    ++number;
    if (number % kLinesBetweenChecks == 0) context.check_stop();
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::string text;
    try {
      text = text_of_line(line, number);
    } catch (const Error&) {
      out << buffer;  // the good lines before the bad one keep their answers
      out.flush();
      throw;
    }
    fmt::format_to(std::back_inserter(buffer), "{{\"ids\": [{}]}}\n", fmt::join(tokenizer.tokenize(text), ", "));
    if (buffer.size() >= kFlushBytes) {
      out << buffer;
      buffer.clear();
    }
  }
  out << buffer;
  out.flush();
  if (!out) fail(ErrorCode::kIo, "standard output: cannot be written");
  return 0;
}

std::function<int(Terminal&)> add_tokenize(CLI::App& command) {
  auto options = std::make_shared<TokenizeOptions>();
  command.add_option("--model", options->model, "folder with the tokenizer's files, or builtin/sample")->required();
  command.add_option("--text-cleaning", options->text_cleaning, "openai: html unescape and ftfy's repairs before")
      ->check(CLI::IsMember({"huggingface", "openai"}))
      ->capture_default_str();
  command.footer("Example:\n  echo '{\"text\": \"a red circle\"}' | imagerank tokenize --model builtin/sample");
  return [options](Terminal& terminal) { return run_tokenize(*options, std::cin, std::cout, terminal); };
}

}  // namespace imagerank::cli
