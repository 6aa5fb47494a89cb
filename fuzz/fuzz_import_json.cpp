// The JSON importers: any bytes become rankings, images and ratings, or are a data error and leave no table.
#include "fuzz_import_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  imagerank::fuzz::import_bytes(data, size, "input.json", {"hpdv2", "hpdv3", "imagereward", "imagerewarddb", "jsonl"});
  return 0;
}
