// Names against the house's rules: clang-tidy must reject this file (see CMakeLists.txt beside it).
int BadlyNamedFunction(int BadlyNamedParameter) { return BadlyNamedParameter; }
