#include "votes/vote_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/fail.h"
#include "votes/connection.h"
#include "votes/schema.h"
#include "votes/tokens.h"

namespace imagerank::votes {
namespace {

using soci::into;
using soci::use;

constexpr const char* kSetColumns = "s.set_id, s.session_id, s.prompt, s.images, s.strategy, s.shown_at";

/// A row of shown_sets as SOCI reads it.
struct SetRow {
  std::string id, session, prompt, images, strategy;
  long long shown_at = 0;

  [[nodiscard]] ShownSet set() const {
    ShownSet result{id, session, prompt, {}, parse_strategy(strategy), shown_at};
    const auto list = nlohmann::json::parse(images, nullptr, false);
    if (!list.is_array()) fail(ErrorCode::kCorruptData, "shown_sets: expected images as a JSON list, set {}", id);
    for (const auto& uid : list) {
      if (uid.is_string()) result.images.push_back(uid.get<std::string>());
    }
    return result;
  }
};

/// A row of votes likewise.
struct VoteRow {
  SetRow set;
  std::string user, choice;
  soci::indicator chosen = soci::i_null;
  int skipped = 0;
  long long taken_ms = 0, voted_at = 0;

  [[nodiscard]] StoredVote vote() const {
    StoredVote result{set.set(), user, std::nullopt, skipped != 0, taken_ms, voted_at};
    if (chosen == soci::i_ok) result.choice = choice;
    return result;
  }
};

}  // namespace

struct VoteStore::State {
  Connection connection;
  std::string salt;
  soci::session* sql = nullptr;  ///< of the transaction under way

  State(const DatabaseUrl& url, OpenMode mode) : connection(url, mode) {}
  soci::session& current() const {
    if (sql == nullptr) fail(ErrorCode::kInvalidArgument, "votes: expected a transaction, found none");
    return *sql;
  }
};

VoteStore::VoteStore(const DatabaseUrl& url, Mode mode)
    : state_(std::make_unique<State>(url, mode == Mode::kWrite ? OpenMode::kWrite : OpenMode::kReadOnly)) {
  if (mode == Mode::kWrite) {
    migrate(state_->connection);
  } else {
    check_schema(state_->connection);
  }
  state_->connection.transact(
      [&](soci::session& sql) { sql << "SELECT value FROM settings WHERE name = 'user_salt'", into(state_->salt); });
}

VoteStore::VoteStore(VoteStore&&) noexcept = default;
VoteStore& VoteStore::operator=(VoteStore&&) noexcept = default;
VoteStore::~VoteStore() = default;

void VoteStore::transact(const std::function<void()>& work) {
  state_->connection.transact([&](soci::session& sql) {
    state_->sql = &sql;
    try {
      work();
    } catch (...) {
      state_->sql = nullptr;
      throw;
    }
    state_->sql = nullptr;
  });
}

Session VoteStore::add_session(const SessionStart& start) {
  if (start.choices != 2 && start.choices != 4) {
    fail(ErrorCode::kInvalidArgument, "images: expected 2 or 4, found {}", start.choices);
  }
  const std::string& who = start.user.empty() ? start.token : start.user;
  const Session session{short_hash(start.token), short_hash(state_->salt + "\n" + who),
                        start.choices,           start.strategy,
                        start.guideline_hash,    now_ms()};
  const std::string strategy(name_of(session.strategy));
  const auto started = static_cast<long long>(session.started_at_ms);
  state_->current() << "INSERT INTO sessions (session_id, user_hash, choices, strategy, guideline_hash, started_at) "
                       "VALUES (:id, :user, :choices, :strategy, :guideline, :started)",
      use(session.id), use(session.user_hash), use(session.choices), use(strategy), use(session.guideline_hash),
      use(started);
  return session;
}

Session VoteStore::load_session(const std::string& token) {
  Session session;
  std::string strategy;
  long long started = 0;
  const std::string id = short_hash(token);
  soci::session& sql = state_->current();
  sql << "SELECT session_id, user_hash, choices, strategy, guideline_hash, started_at FROM sessions "
         "WHERE session_id = :id",
      use(id), into(session.id), into(session.user_hash), into(session.choices), into(strategy),
      into(session.guideline_hash), into(started);
  if (!sql.got_data()) {
    throw RefusedVote(Refusal::kUnknownSession, "session: expected a token that POST /v1/sessions gave, found another");
  }
  session.strategy = parse_strategy(strategy);
  session.started_at_ms = started;
  return session;
}

std::optional<ShownSet> VoteStore::find_open_set(const Session& session) {
  SetRow row;
  soci::session& sql = state_->current();
  sql << "SELECT " << kSetColumns
      << " FROM shown_sets s LEFT JOIN votes v ON v.set_id = s.set_id WHERE s.session_id = :session "
         "AND v.set_id IS NULL ORDER BY s.shown_at DESC, s.set_id LIMIT 1",
      use(session.id), into(row.id), into(row.session), into(row.prompt), into(row.images), into(row.strategy),
      into(row.shown_at);
  if (!sql.got_data()) return std::nullopt;
  return row.set();
}

void VoteStore::add_set(const ShownSet& set) {
  const std::string images = nlohmann::json(set.images).dump();
  const std::string strategy(name_of(set.strategy));
  const auto shown = static_cast<long long>(set.shown_at_ms);
  state_->current() << "INSERT INTO shown_sets (set_id, session_id, prompt, images, strategy, shown_at) "
                       "VALUES (:id, :session, :prompt, :images, :strategy, :shown)",
      use(set.id), use(set.session), use(set.prompt), use(images), use(strategy), use(shown);
}

void VoteStore::add_vote(const Session& session, const Vote& vote) {
  vote.check();
  SetRow row;
  int voted = 0;
  soci::session& sql = state_->current();
  // The id is a client's text: what is none of ours never reaches the database.
  const bool possible = is_id(vote.set);
  if (possible) {
    sql << "SELECT " << kSetColumns
        << ", CASE WHEN v.set_id IS NULL THEN 0 ELSE 1 END FROM shown_sets s LEFT JOIN votes v ON v.set_id = s.set_id "
           "WHERE s.set_id = :id AND s.session_id = :session",
        use(vote.set), use(session.id), into(row.id), into(row.session), into(row.prompt), into(row.images),
        into(row.strategy), into(row.shown_at), into(voted);
  }
  if (!possible || !sql.got_data()) {
    throw RefusedVote(Refusal::kNotShown, "set: expected one that was shown to this session, found another");
  }
  if (voted != 0) throw RefusedVote(Refusal::kTwice, fmt::format("set {}: expected one vote, found a second", row.id));
  const std::vector<std::string> images = row.set().images;
  if (vote.choice && std::ranges::find(images, *vote.choice) == images.end()) {
    throw RefusedVote(Refusal::kNotInSet, "choice: expected an image of the set, found another");
  }
  const std::string choice = vote.choice.value_or("");
  soci::indicator chosen = vote.choice ? soci::i_ok : soci::i_null;
  const int skipped = vote.skipped ? 1 : 0;
  const auto taken = static_cast<long long>(vote.taken_ms);
  const auto now = static_cast<long long>(now_ms());
  sql << "INSERT INTO votes (set_id, session_id, choice, skipped, taken_ms, voted_at) "
         "VALUES (:set, :session, :choice, :skipped, :taken, :now)",
      use(vote.set), use(session.id), use(choice, chosen), use(skipped), use(taken), use(now);
}

ShownSet VoteStore::undo(const Session& session) {
  SetRow row;
  soci::session& sql = state_->current();
  sql << "SELECT " << kSetColumns
      << " FROM votes v JOIN shown_sets s ON s.set_id = v.set_id WHERE v.session_id = :session "
         "ORDER BY v.voted_at DESC, s.shown_at DESC LIMIT 1",
      use(session.id), into(row.id), into(row.session), into(row.prompt), into(row.images), into(row.strategy),
      into(row.shown_at);
  if (!sql.got_data()) throw RefusedVote(Refusal::kNothingToUndo, "undo: expected a vote of this session, found none");
  const auto now = static_cast<long long>(now_ms());
  sql << "INSERT INTO undone_votes (set_id, session_id, choice, skipped, taken_ms, voted_at, undone_at) "
         "SELECT set_id, session_id, choice, skipped, taken_ms, voted_at, :now FROM votes WHERE set_id = :id",
      use(now), use(row.id);
  sql << "DELETE FROM votes WHERE set_id = :id", use(row.id);
  return row.set();
}

Progress VoteStore::progress(const Session& session) {
  long long votes = 0, ties = 0, skipped = 0;
  state_->current() << "SELECT COUNT(*), COALESCE(SUM(CASE WHEN choice IS NULL AND skipped = 0 THEN 1 ELSE 0 END), 0), "
                       "COALESCE(SUM(skipped), 0) FROM votes WHERE session_id = :session",
      use(session.id), into(votes), into(ties), into(skipped);
  return {votes - skipped, ties, skipped};
}

std::vector<StoredVote> VoteStore::votes(std::size_t newest) {
  std::vector<StoredVote> result;
  state_->connection.transact([&](soci::session& sql) {
    VoteRow row;
    soci::statement statement =
        (sql.prepare << "SELECT " << kSetColumns
                     << ", u.user_hash, v.choice, v.skipped, v.taken_ms, v.voted_at FROM votes v "
                        "JOIN shown_sets s ON s.set_id = v.set_id JOIN sessions u ON u.session_id = v.session_id "
                        "ORDER BY v.voted_at DESC, v.set_id DESC"
                     << (newest == 0 ? std::string() : fmt::format(" LIMIT {}", newest)),
         into(row.set.id), into(row.set.session), into(row.set.prompt), into(row.set.images), into(row.set.strategy),
         into(row.set.shown_at), into(row.user), into(row.choice, row.chosen), into(row.skipped), into(row.taken_ms),
         into(row.voted_at));
    statement.execute();
    while (statement.fetch()) result.push_back(row.vote());
  });
  std::ranges::reverse(result);
  return result;
}

std::vector<ShownSet> VoteStore::shown_sets() {
  std::vector<ShownSet> result;
  state_->connection.transact([&](soci::session& sql) {
    SetRow row;
    soci::statement statement =
        (sql.prepare << "SELECT " << kSetColumns << " FROM shown_sets s ORDER BY s.shown_at, s.set_id", into(row.id),
         into(row.session), into(row.prompt), into(row.images), into(row.strategy), into(row.shown_at));
    statement.execute();
    while (statement.fetch()) result.push_back(row.set());
  });
  return result;
}

}  // namespace imagerank::votes
