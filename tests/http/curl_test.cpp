#include "http/curl.h"

#include <gtest/gtest.h>

#include <string>

#include "imagerank/error.h"

namespace imagerank::http {
namespace {

TEST(Curl, FailuresHaveShortNames) {
  EXPECT_EQ(transfer_problem(CURLE_COULDNT_RESOLVE_HOST), "dns");
  EXPECT_EQ(transfer_problem(CURLE_OPERATION_TIMEDOUT), "timeout");
  EXPECT_EQ(transfer_problem(CURLE_PARTIAL_FILE), "truncated");
  EXPECT_EQ(transfer_problem(CURLE_PEER_FAILED_VERIFICATION), "tls");
  EXPECT_EQ(transfer_problem(CURLE_UNSUPPORTED_PROTOCOL), "refused_address");
  EXPECT_EQ(transfer_problem(CURLE_RECV_ERROR), "connection");
}

TEST(Curl, AnOptionThatIsNotTakenIsAnError) {
  start_libcurl();
  const EasyHandle easy(curl_easy_init());
  ASSERT_NE(easy, nullptr);
  EXPECT_NO_THROW(set_option(easy.get(), CURLOPT_MAXREDIRS, 3L));
  try {
    set_option(easy.get(), CURLOPT_PROTOCOLS_STR, "no-such-protocol");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace imagerank::http
