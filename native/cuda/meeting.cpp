#include "cuda/meeting.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <sstream>

namespace bertune::cuda {
namespace {

using Clock = std::chrono::steady_clock;

// Messages.
constexpr char kHello = 'H';    // of a rank to rank 0: kGreeting, rank, size, host
constexpr char kWelcome = 'W';  // of rank 0, once all are there: its host, and the card
constexpr char kRefusal = 'R';  // of rank 0: why a rank cannot take part
constexpr char kAsk = 'A';      // who is there?
constexpr char kPresent = 'P';  // the answer
constexpr char kLost = 'L';     // of rank 0 to all: who is lost
constexpr char kLeave = 'E';    // nobody is to miss me

constexpr const char* kGreeting = "bertune-ranks-1";
constexpr Seconds kAnswerTime{2}, kVerdictTime{5};
constexpr Seconds kConnectTime{1}, kRetryTime{0.05};

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

std::string seconds_of(Seconds time) {
  std::ostringstream text;
  text << time.count();
  return text.str();
}

void pause(Seconds time) { usleep(static_cast<useconds_t>(time.count() * 1e6)); }

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// Null, and why, where the name is not known.
Addresses resolve(const char* address, int port, int flags, std::string& reason) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(address, std::to_string(port).c_str(), &hints, &found);
  if (status != 0) reason = gai_strerror(status);
  return Addresses(found, &freeaddrinfo);
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.rfind("127.", 0) == 0;
}

// Listens at the port: of this machine alone where the ranks' address is that.
Connection listen_at(const RanksMeeting& place) {
  std::string reason;
  const char* address = is_loopback(place.address) ? place.address : nullptr;
  const Addresses all = resolve(address, place.port, AI_PASSIVE, reason);
  Connection listening;
  for (const addrinfo* each = all.get(); each && !listening.is_open(); each = each->ai_next) {
    const int made = socket(each->ai_family, SOCK_STREAM, 0);
    if (made < 0) continue;
    Connection candidate(made);
    const int on = 1, off = 0;
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (each->ai_family == AF_INET6) setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(made, each->ai_addr, each->ai_addrlen) == 0 && listen(made, place.size) == 0) {
      listening = std::move(candidate);
    } else {
      reason = std::strerror(errno);
    }
  }
  if (listening.is_open()) return listening;
  throw Error("COLLECTIVE_UNAVAILABLE", "Expected to wait for the other processes at port " +
                                            std::to_string(place.port) + " but " + reason +
                                            "; set MASTER_PORT to a free one for all processes");
}

// Not open, and why, where nobody answers.
Connection connect_to(const RanksMeeting& place, Seconds limit, std::string& reason) {
  const Addresses all = resolve(place.address, place.port, 0, reason);
  for (const addrinfo* each = all.get(); each; each = each->ai_next) {
    const int made = socket(each->ai_family, SOCK_STREAM, 0);
    if (made < 0) continue;
    Connection candidate(made);
    int status = connect(made, each->ai_addr, each->ai_addrlen) == 0 ? 0 : errno;
    if (status == EINPROGRESS) {
      pollfd ready{made, POLLOUT, 0};
      socklen_t bytes = sizeof status;
      status = ETIMEDOUT;
      if (poll(&ready, 1, static_cast<int>(limit.count() * 1000)) == 1) {
        getsockopt(made, SOL_SOCKET, SO_ERROR, &status, &bytes);
      }
    }
    if (status == 0) return candidate;
    reason = std::strerror(status);
  }
  return {};
}

[[noreturn]] void refuse_to_wait(Seconds limit, const std::string& who) {
  throw Error("RANK_LOST", "Not all processes came to train within " + seconds_of(limit) + " s: " + who +
                               "; one has ended before, or is slower to load model and data");
}

}  // namespace

Meeting::Meeting(const RanksMeeting& place, Seconds limit, std::string& card)
    : rank_(place.rank),
      size_(place.size),
      limit_(place.seconds),
      is_ending_(*place.is_ending),
      peers_(place.rank == 0 ? place.size : 1) {
  if (rank_ == 0) {
    wait_for_all(place, limit, card);
  } else {
    find_first(place, limit, card);
  }
}

std::string Meeting::name_of(int rank) const { return "rank " + std::to_string(rank) + " on " + peers_[rank].host; }

std::string Meeting::absent() const {
  std::string names;
  for (int rank = 1; rank < size_; ++rank) {
    if (!peers_[rank].connection.is_open()) names += (names.empty() ? "rank " : ", rank ") + std::to_string(rank);
  }
  return names;
}

void Meeting::wait_for_all(const RanksMeeting& place, Seconds limit, const std::string& card) {
  if (size_ == 1) return;
  const Connection listening = listen_at(place);
  std::list<Connection> strangers;
  for (const auto end = Clock::now() + limit; !absent().empty(); pause(Seconds(0.001))) {
    expect_to_go_on();
    if (Clock::now() > end) refuse_to_wait(limit, "rank 0 waits for " + absent());
    for (int made; (made = accept(listening.socket(), nullptr, nullptr)) >= 0;) strangers.emplace_back(made);
    for (auto stranger = strangers.begin(); stranger != strangers.end();) {
      const Connection::Message message = stranger->receive();
      if (message.kind == kHello) {
        std::istringstream words(message.text);
        std::string greeting, host;
        int rank = -1, size = 0;
        words >> greeting >> rank >> size >> host;
        if (greeting == kGreeting && size == size_ && rank > 0 && rank < size_) {
          peers_[rank] = {std::move(*stranger), host};
        } else {
          stranger->send(kRefusal, "rank 0 waits for ranks 1 to " + std::to_string(size_ - 1) + " of " +
                                       std::to_string(size_) + ", and not for rank " + std::to_string(rank) + " of " +
                                       std::to_string(size));
        }
      }
      const bool is_over = message.kind != 0 || !stranger->is_open();
      stranger = is_over ? strangers.erase(stranger) : std::next(stranger);
    }
  }
  for (Peer& peer : peers_) peer.connection.send(kWelcome, host_name() + " " + card);
}

void Meeting::find_first(const RanksMeeting& place, Seconds limit, std::string& card) {
  Connection& first = peers_[0].connection;
  const std::string hello =
      std::string(kGreeting) + " " + std::to_string(rank_) + " " + std::to_string(size_) + " " + host_name();
  std::string reason = "it has not let this one in";
  for (const auto end = Clock::now() + limit;;) {
    expect_to_go_on();
    const Seconds left = end - Clock::now();
    if (left.count() <= 0) {
      refuse_to_wait(limit,
                     "rank 0 at " + std::string(place.address) + ":" + std::to_string(place.port) + ": " + reason);
    }
    if (!first.is_open()) {
      first = connect_to(place, std::min(left, kConnectTime), reason);
      if (!first.is_open()) {
        pause(kRetryTime);
        continue;
      }
      reason = "it has not let this one in";
      first.send(kHello, hello);
    }
    const Connection::Message message = first.receive();
    if (message.kind == kRefusal)
      throw Error("COLLECTIVE_UNAVAILABLE", "Expected to join other processes but " + message.text);
    if (message.kind == kWelcome) {
      const size_t space = message.text.find(' ');
      peers_[0].host = message.text.substr(0, space);
      card = message.text.substr(space + 1);
      return;
    }
    pause(Seconds(0.001));
  }
}

void Meeting::expect_to_go_on() const {
  if (is_ending_) throw Error("RANK_LOST", "This process ends");
}

void Meeting::look() {
  expect_to_go_on();
  for (int rank = 0; rank < static_cast<int>(peers_.size()); ++rank) {
    Peer& peer = peers_[rank];
    if (rank == rank_ || peer.has_left) continue;
    for (Connection::Message message; (message = peer.connection.receive()).kind != 0;) {
      if (message.kind == kLeave) peer.has_left = true;
      if (message.kind == kLost) throw Error("RANK_LOST", message.text);
      if (message.kind != kAsk) continue;
      if (rank_ == 0) give_up();
      peer.connection.send(kPresent);
      const std::string verdict = wait_for_verdict(kVerdictTime);
      throw Error("RANK_LOST", verdict.empty() ? "Lost " + name_of(0) + ", which answers no more" : verdict);
    }
    if (!peer.has_left && !peer.connection.is_open()) tell("Lost " + name_of(rank) + ", which is gone");
  }
}

void Meeting::lose(const std::string& reason, const std::string& otherwise) {
  if (rank_ == 0) {
    const std::string names = missing();
    tell(names.empty() ? otherwise : reason + names);
  }
  peers_[0].connection.send(kAsk);
  const std::string verdict = wait_for_verdict(kAnswerTime);
  throw Error("RANK_LOST", verdict.empty() ? reason + name_of(0) : verdict);
}

void Meeting::give_up() {
  const std::string seconds = seconds_of(limit_);
  lose("Waited " + seconds + " s for ", "The ranks did not meet within " + seconds + " s");
}

std::string Meeting::missing() {
  std::vector<bool> is_present(peers_.size(), false);
  is_present[0] = true;
  for (Peer& peer : peers_) peer.connection.send(kAsk);
  std::string names;
  const auto end = Clock::now() + kAnswerTime;
  do {
    names.clear();
    for (int rank = 1; rank < size_; ++rank) {
      Peer& peer = peers_[rank];
      for (Connection::Message message; !is_present[rank] && (message = peer.connection.receive()).kind != 0;) {
        is_present[rank] = message.kind == kPresent || message.kind == kAsk;
      }
      if (!is_present[rank]) names += (names.empty() ? "" : ", ") + name_of(rank);
    }
    pause(Seconds(0.001));
  } while (!names.empty() && Clock::now() < end);
  return names;
}

void Meeting::tell(const std::string& text) {
  if (rank_ == 0) {
    for (Peer& peer : peers_) peer.connection.send(kLost, text);
  }
  throw Error("RANK_LOST", text);
}

std::string Meeting::wait_for_verdict(Seconds first) {
  Connection& connection = peers_[0].connection;
  for (auto end = Clock::now() + first; Clock::now() < end; pause(Seconds(0.001))) {
    const Connection::Message message = connection.receive();
    if (message.kind == kLost) return message.text;
    if (message.kind == 0 && !connection.is_open()) break;
    if (message.kind == kAsk) {
      connection.send(kPresent);
      end = Clock::now() + kVerdictTime;
    }
  }
  return {};
}

void Meeting::leave() {
  for (Peer& peer : peers_) peer.connection.send(kLeave);
}

}  // namespace bertune::cuda
