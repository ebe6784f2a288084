#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cuda/meeting.h"

namespace bertune::cuda {
namespace {

// In front of a text: the letter, and the length of the text.
struct __attribute__((packed)) Header {
  char kind;
  uint32_t length;
};
constexpr uint32_t kMostText = 1 << 20;
constexpr int kSendMilliseconds = 2000;

}  // namespace

Connection::Connection(int socket) : socket_(socket) {
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Connection::~Connection() { close(); }

Connection::Connection(Connection&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(received_, other.received_);
  return *this;
}

void Connection::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Connection::send(char kind, const std::string& text) {
  const Header header{kind, static_cast<uint32_t>(text.size())};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += text;
  for (size_t sent = 0; is_open() && sent < bytes.size();) {
    const ssize_t count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN || errno == EINTR) {
      pollfd room{socket_, POLLOUT, 0};
      if (poll(&room, 1, kSendMilliseconds) == 0) close();
    } else {
      close();
    }
  }
}

Connection::Message Connection::receive() {
  char bytes[4096];
  while (is_open()) {
    const ssize_t count = recv(socket_, bytes, sizeof bytes, 0);
    if (count > 0) {
      received_.append(bytes, static_cast<size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && errno == EAGAIN) {
      break;
    } else {
      close();
    }
  }
  Header header;
  if (received_.size() < sizeof header) return {};
  std::memcpy(&header, received_.data(), sizeof header);
  if (header.length > kMostText) {
    close();  // no rank of ours
    received_.clear();
    return {};
  }
  if (received_.size() < sizeof header + header.length) return {};
  Message message{header.kind, received_.substr(sizeof header, header.length)};
  received_.erase(0, sizeof header + header.length);
  return message;
}

}  // namespace bertune::cuda
