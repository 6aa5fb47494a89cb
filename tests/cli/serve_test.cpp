#include <gmock/gmock.h>

#include <cstdlib>
#include <optional>

#include "cli/scoring_world.h"
#include "support/child_process.h"
#include "support/free_port.h"
#include "support/raw_client.h"

namespace imagerank::cli {
namespace {

using testing::HasSubstr;

class ServeCommand : public ScoringWorld {
 protected:
  /// Runs the program until `ask` has had an answer, then as Ctrl-C ends it.
  static test::ChildResult serve(std::uint16_t port, const std::vector<std::string>& options,
                                 const std::function<bool()>& ask) {
    std::vector<std::string> arguments = {"serve", "--reward", reward(), "--port", std::to_string(port), "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    test::ChildOptions child;
    child.interrupt_when = ask;
    return test::run_child(IMAGERANK_PROGRAM, arguments, child);
  }
};

TEST_F(ServeCommand, GivesTheScoresOfRankAndEndsInOrder) {
  const std::uint16_t port = test::free_port();
  std::string body = "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na red car\r\n";
  body += "--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n" + load_file(picture(0)) + "\r\n--x--\r\n";
  nlohmann::json answer;
  const test::ChildResult run = serve(port, {}, [&] {
    try {
      test::RawClient client(port);
      client.send(test::http_request("POST", "/v1/score", body, "Content-Type: multipart/form-data; boundary=x\r\n"));
      answer = nlohmann::json::parse(client.read().body);
      return true;
    } catch (const std::exception&) {
      return false;  // it does not listen yet
    }
  });
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto start = nlohmann::json::parse(run.out);
  EXPECT_EQ(start["address"], "http://127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(start["rewards"][0]["name"], "mlp");
  EXPECT_THAT(run.err, HasSubstr("never trained"));
  EXPECT_THAT(run.err, HasSubstr("stopped: 1 items"));
  const LineRun rank = run_line({"rank", "--reward", reward(), "--prompt", "a red car", picture(0), "--json"});
  ASSERT_EQ(rank.code, 0) << rank.err;
  EXPECT_EQ(answer["scores"][0]["score"], rank.json()["scores"][0]["score"]);
}

TEST_F(ServeCommand, ThePythonClientGivesTheSameScores) {
  if (std::system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {  // NOLINT(cert-env33-c)
    GTEST_SKIP() << "needs /usr/bin/python3 with numpy";
  }
  test::write_text(path("ask.py"),
                   "import sys, numpy as np\nsys.path.insert(0, sys.argv[1])\n"
                   "from reward_client import RewardClient\n"
                   "images = np.arange(2 * 3 * 40 * 30).reshape(2, 3, 40, 30) % 97 / 96\n"
                   "scores, info = RewardClient(sys.argv[2])(images, ['a red car', 'a car'])\n"
                   "assert scores.shape == (2,) and scores.dtype == np.float32 and info['failed'] == 0\n"
                   "print(*scores)\n");
  const std::uint16_t port = test::free_port();
  const std::string command = "/usr/bin/python3 -B " + path("ask.py").string() + " " +
                              test::source_file("examples").string() + " http://127.0.0.1:" + std::to_string(port) +
                              " > " + path("scores.txt").string();
  int code = -1;
  const test::ChildResult run = serve(port, {}, [&] {
    try {
      const test::RawClient client(port);
    } catch (const std::exception&) {
      return false;
    }
    code = std::system(command.c_str());  // NOLINT(cert-env33-c)
    return true;
  });
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(code, 0);
  EXPECT_THAT(test::lines_of(path("scores.txt")), testing::SizeIs(1));
}

TEST_F(ServeCommand, BadInputIsOneLine) {
  const auto expect = [](const std::vector<std::string>& line, int code, const std::string& says) {
    const LineRun run = run_line(line);
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(says));
    EXPECT_EQ(run.out, "");
  };
  expect({"serve"}, 2, "--reward");
  expect({"serve", "--reward", path("none").string(), "--port", "0"}, 1, "none");
  expect({"serve", "--reward", reward(), "--port", "70000"}, 2, "--port");
  expect({"serve", "--reward", reward(), "--port", "0", "--host", "nowhere"}, 2, "nowhere");
  expect({"serve", "--reward", reward(), "--port", "0", "--tokens", path("none").string()}, 1, "none");
  expect({"serve", "--reward", reward(), "--port", "0", "--max-body-mb", "-1"}, 2, "--max-body-mb");
  expect({"serve", "--reward", reward(), "--reward", reward(), "--port", "0"}, 2, "mlp");
  expect({"serve", "--reward", reward(), "--port", "0", "--tls-key", path("none").string()}, 2, "certificate");
}

}  // namespace
}  // namespace imagerank::cli
