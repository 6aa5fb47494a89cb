#include "votes/voting.h"

#include <algorithm>
#include <utility>

#include "core/fail.h"
#include "votes/tokens.h"

namespace imagerank::votes {
namespace {

constexpr std::size_t kTokenBytes = 24;
constexpr std::size_t kIdBytes = 16;

std::uint64_t seed_from_system() { return std::stoull(random_hex(8), nullptr, 16); }

}  // namespace

Voting::Voting(Gallery gallery, const VotingOptions& options)
    : gallery_(std::move(gallery)),
      options_(options),
      store_(options.database, VoteStore::Mode::kWrite),
      random_(seed_from_system()) {
  if (gallery_.prompts.empty()) {
    fail(ErrorCode::kInvalidArgument, "voting: expected a prompt with two images or more, found none");
  }
  for (const Gallery::Prompt& prompt : gallery_.prompts) shown_.emplace_back(prompt.images.size(), 0);
  for (const ShownSet& set : store_.shown_sets()) remember(set);
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

Voting::~Voting() {
  thread_.request_stop();
  thread_.join();
}

template <typename T>
bool Voting::submit(std::function<T()> work, Done<T> done) {
  const auto value = std::make_shared<std::optional<T>>();
  return enqueue({[value, work = std::move(work)] { value->emplace(work()); },
                  [value, done = std::move(done)](const std::exception_ptr& error) {
                    done([&]() -> T {
                      if (error) std::rethrow_exception(error);
                      return std::move(**value);
                    });
                  }});
}

bool Voting::enqueue(Request request) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.max_waiting) return false;
    queue_.push_back(std::move(request));
  }
  ready_.notify_one();
  return true;
}

void Voting::serve(const std::stop_token& stop) {
  for (;;) {
    std::vector<Request> batch;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, stop, [&] { return !queue_.empty(); });
      if (queue_.empty()) return;
      while (!queue_.empty() && batch.size() < options_.max_batch) {
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    answer_batch(std::move(batch));
  }
}

void Voting::answer_batch(std::vector<Request> batch) {
  std::vector<std::exception_ptr> errors(batch.size());
  try {
    store_.transact([&] {
      fresh_.clear();
      for (std::size_t i = 0; i < batch.size(); ++i) {
        try {
          batch[i].work();
        } catch (const RefusedVote&) {  // of one request; the others go on
          errors[i] = std::current_exception();
        }
      }
    });
    for (const ShownSet& set : fresh_) remember(set);
  } catch (...) {  // nothing was stored
    errors.assign(batch.size(), std::current_exception());
  }
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].answer(errors[i]);
}

void Voting::remember(const ShownSet& set) {
  seen_[set.session].insert(set_key(set.prompt, set.images));
  const auto prompt = gallery_.prompt_of.find(set.prompt);
  if (prompt == gallery_.prompt_of.end()) return;
  const std::vector<std::uint32_t>& images = gallery_.prompts[prompt->second].images;
  for (const std::string& uid : set.images) {
    const auto image = gallery_.image_of.find(uid);
    if (image == gallery_.image_of.end()) continue;
    const auto place = std::ranges::find(images, image->second);
    if (place != images.end()) ++shown_[prompt->second][static_cast<std::size_t>(place - images.begin())];
  }
}

bool Voting::start_session(SessionStart start, Done<StartedSession> done) {
  // Checked here: in a transaction it would end those of others.
  if (start.choices != 2 && start.choices != 4) {
    fail(ErrorCode::kInvalidArgument, "choices: expected 2 or 4, found {}", start.choices);
  }
  start.token = random_hex(kTokenBytes);
  return submit<StartedSession>(
      [this, start = std::move(start)] { return StartedSession{start.token, store_.add_session(start)}; },
      std::move(done));
}

NextSet Voting::find_next(const Session& session) {
  NextSet next{store_.find_open_set(session), store_.progress(session)};
  if (next.set) return next;
  std::optional<Choice> choice;
  {
    const std::lock_guard lock(scores_mutex_);
    static const ScoreTable kNone;
    choice = choose_next(gallery_, session.strategy, static_cast<std::size_t>(session.choices), shown_,
                         scores_.empty() ? kNone : scores_.front().second, seen_[session.id], random_);
  }
  if (!choice) return next;
  const Gallery::Prompt& prompt = gallery_.prompts[choice->set.prompt];
  ShownSet set{random_hex(kIdBytes), session.id, prompt.text, {}, choice->strategy, now_ms()};
  for (const std::uint32_t place : choice->set.places) {
    set.images.push_back(gallery_.images[prompt.images[place]].uid);
  }
  store_.add_set(set);
  fresh_.push_back(set);
  next.set = std::move(set);
  return next;
}

bool Voting::next_set(const std::string& token, Done<NextSet> done) {
  return submit<NextSet>([this, token] { return find_next(store_.load_session(token)); }, std::move(done));
}

bool Voting::vote(const std::string& token, Vote vote, Done<Progress> done) {
  vote.check();
  return submit<Progress>(
      [this, token, vote = std::move(vote)] {
        const Session session = store_.load_session(token);
        store_.add_vote(session, vote);
        return store_.progress(session);
      },
      std::move(done));
}

bool Voting::undo(const std::string& token, Done<NextSet> done) {
  return submit<NextSet>(
      [this, token] {
        const Session session = store_.load_session(token);
        ShownSet set = store_.undo(session);
        return NextSet{std::move(set), store_.progress(session)};
      },
      std::move(done));
}

void Voting::set_scores(const std::string& reward, std::uint32_t prompt, std::vector<ImageScore> scores) {
  const std::lock_guard lock(scores_mutex_);
  auto found = std::ranges::find(scores_, reward, &std::pair<std::string, ScoreTable>::first);
  if (found == scores_.end()) {
    scores_.emplace_back(reward, ScoreTable(gallery_.prompts.size()));
    found = scores_.end() - 1;
  }
  found->second[prompt] = std::move(scores);
}

Watch Voting::watch_votes() {
  std::vector<StoredVote> votes;
  {
    const std::lock_guard lock(read_mutex_);
    if (!reader_) reader_.emplace(options_.database, VoteStore::Mode::kReadOnly);
    votes = reader_->votes();
  }
  std::vector<std::pair<std::string, ScoreTable>> scores;
  {
    const std::lock_guard lock(scores_mutex_);
    scores = scores_;
  }
  std::vector<NamedScores> rewards;
  for (const auto& [name, table] : scores) {
    const ScoreTable& own = table;
    rewards.push_back({name, [this, &own](const std::string& text, const std::string& uid) -> std::optional<double> {
                         const auto prompt = gallery_.prompt_of.find(text);
                         const auto image = gallery_.image_of.find(uid);
                         if (prompt == gallery_.prompt_of.end() || image == gallery_.image_of.end()) return {};
                         const auto& images = gallery_.prompts[prompt->second].images;
                         const auto place =
                             static_cast<std::size_t>(std::ranges::find(images, image->second) - images.begin());
                         const auto& row = own[prompt->second];
                         return place < row.size() ? std::optional(row[place].score) : std::nullopt;
                       }});
  }
  return watch(votes, rewards);
}

}  // namespace imagerank::votes
