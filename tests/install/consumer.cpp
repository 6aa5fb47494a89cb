#include <imagerank/error.h>
#include <imagerank/scorer.h>
#include <imagerank/version.h>

#include <cstdio>

int main() {
  std::printf("imagerank %s\n", imagerank::version());
  try {
    (void)imagerank::Scorer::load("no-such-reward");
  } catch (const imagerank::Error& error) {
    std::printf("%s\n", error.what());
    return error.code() == imagerank::ErrorCode::kNotFound ? 0 : 1;
  }
  return 1;
}
