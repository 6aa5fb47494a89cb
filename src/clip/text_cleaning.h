#pragma once

#include <string>
#include <string_view>

namespace imagerank::clip {

/// OpenAI CLIP's basic_clean: ftfy's common repairs, html unescape twice, white space stripped from both ends.
///
/// The repairs, in this order:
/// 1. mojibake: runs of characters that are UTF-8 read as Windows-1252 (or Latin-1) and that decode again as a whole
///    become what they were ("cafÃ©" -> "café"), up to three times;
/// 2. ANSI terminal escapes ("ESC [ ... letter") are removed;
/// 3. typographic ligatures (U+FB00..U+FB06, U+0132, U+0133, U+01C4..U+01CC, U+01F1..U+01F3) are spelled out;
/// 4. half- and full-width forms (U+FF01..U+FFEF, U+3000) become the ordinary ones, by NFKC;
/// 5. curly quotes become straight;
/// 6. CR LF, CR, U+2028, U+2029 and U+0085 become LF;
/// 7. control characters that have no effect (U+0000..8, B, E..1F, 7F, U+206A..F, U+FEFF, U+FFF9..C) are removed;
/// 8. NFC.
/// Not done: ftfy's guesses about other encodings than Windows-1252 and Latin-1, and its "lossy" sequences.
/// The html names are HTML 4.01's 252 and "apos"; numbers follow HTML 5's rules for 128..159 and invalid ones.
/// @param text  valid UTF-8.
/// Source: CLIP's simple_tokenizer.py, ftfy 6's documentation of its fixers.
[[nodiscard]] std::string clean_text_as_openai(std::string_view text);

/// Named and numeric character references replaced once.
[[nodiscard]] std::string unescape_html(std::string_view text);

}  // namespace imagerank::clip
