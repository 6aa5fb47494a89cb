#pragma once

#include <gtest/gtest.h>

#include <string>

#include "imagerank/error.h"

namespace imagerank::test {

/// What the action's Error says, which must be of this code.
template <typename Action>
std::string error_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return "";
}

}  // namespace imagerank::test
