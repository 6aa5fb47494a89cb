// Reads freed memory: under the address sanitizer this program must fail (see CMakeLists.txt beside it).
#include <cstdio>
#include <cstdlib>

int main(int argc, char**) {
  int* const numbers = static_cast<int*>(std::malloc(sizeof(int) * 4));
  if (numbers == nullptr) return 1;
  numbers[0] = argc;
  std::free(numbers);
  volatile int* const freed = numbers;
  std::printf("%d\n", freed[0]);
  return 0;
}
