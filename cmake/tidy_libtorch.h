// For clang-tidy alone (preset tidy), ahead of every file. libtorch 1.13 was written
// before C++20: it names std::vector<IValue> where IValue is still incomplete. GCC puts off std::vector's members until
// they are called; clang needs the bodies of constexpr ones at once, and in C++20 std::vector's are constexpr. Here
// <vector> is read without that constexpr. __fill_a1 (std::vector<bool>) is declared constexpr outside of <vector>.
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#define __fill_a1 __fill_a1_of_vector_bool
#include <vector>
#undef __fill_a1
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR constexpr
