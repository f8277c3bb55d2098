/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio.hpp
 * uvdio for C++20: engines, files, arenas and buffers that release themselves, and operations that
 * coroutines await. Header only, over uvdio.h, whose rules and words hold; exceptions and type
 * information are not needed.
 *
 *     uvdio::task<std::error_code> store(uvdio::engine& engine, std::string_view text) {
 *       uvdio::file file;
 *       if (auto error = co_await file.open(engine, "pages.db", UVDIO_OPEN_RW, 0644)) {
 *         co_return error;
 *       }
 *       auto page = uvdio::buffer::page();
 *       if (!page) {
 *         co_return page.error();
 *       }
 *       std::memcpy(page->data(), text.data(), text.size());
 *       auto [written, back] = co_await file.write(std::move(*page), 0);   (back is the page)
 *       if (!written) {
 *         co_return written.error();
 *       }
 *       co_return co_await file.sync_data();
 *     }
 *
 * Memory. An operation keeps its request in itself, and so in the frame of the coroutine that
 * awaits it: nothing is allocated for it.
 *
 * Lifetimes. A coroutine must not be destroyed while it awaits an operation, nor a file while it
 * has requests: the kernel writes to their memory. Both end the program (std::abort()) with a
 * message; cancel first, and wait. An engine outlives its files, and an arena its frames. What
 * can't be ended where it is destroyed ends the program as well: an open file or a busy engine on
 * another thread than the loop's, a file in a forked child that has not closed its engine's copy.
 *
 * Threads. As in uvdio.h: a coroutine goes on in the operation's callback, on the loop's thread.
 *
 * Errors are std::error_code. They compare to UVDIO_E* directly, and to std::errc where the system
 * has such an error: `error == UVDIO_ELOCKED`, `error == std::errc::no_such_file_or_directory`.
 * `error.value()` is the code as C has it.
 */
#ifndef UVDIO_HPP
#define UVDIO_HPP

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <version>
#if defined(__cpp_lib_expected)
#include <expected>
#endif

#include "uvdio.h"

/** @cond private */
/* The library's own errors are error codes. */
template <>
struct std::is_error_code_enum<uvdio_errno> : std::true_type {};
/** @endcond */

/** @cond private */
#if defined(__cpp_lib_expected)
#define UVDIO_HPP_NAMESPACE_ with_expected
#else
#define UVDIO_HPP_NAMESPACE_ without_expected
#endif
/** @endcond */

namespace uvdio {

/** Of the codes that the library returns: negative, as in uvdio.h. */
class error_category_t final : public std::error_category {
 public:
  /** "uvdio" */
  const char* name() const noexcept override {
    return "uvdio";
  }
  /** As uvdio_strerror(). */
  std::string message(int code) const override {
    return uvdio_strerror(code);
  }
  /** The system's own error, where the code is one: libuv's are negative values of errno there. */
  std::error_condition default_error_condition(int code) const noexcept override {
#if !defined(_WIN32)
    if (code < 0 && code > -LIBUV_ONLY_FROM) {
      return {-code, std::generic_category()};
    }
#endif
    return {code, *this};
  }

 private:
  static constexpr int LIBUV_ONLY_FROM = 3000; /* UV_EAI_* and UV_EOF are no values of errno */
};

/** The category, one for all. */
inline const std::error_category& error_category() noexcept {
  static const error_category_t category;
  return category;
}

/** The error code of a result of uvdio.h: none where it is not negative. */
inline std::error_code to_error(std::int64_t code) noexcept {
  return code < 0 ? std::error_code(static_cast<int>(code), error_category()) : std::error_code();
}

/* A program may be made of sources in several versions of the language, for which a result is
 * something else: whatever has to do with results has another name in each. */
inline namespace UVDIO_HPP_NAMESPACE_ {

#if defined(__cpp_lib_expected)

/** A value, or an error. */
template <class T>
using result = std::expected<T, std::error_code>;
/** What a result without a value is made of. */
using failure = std::unexpected<std::error_code>;

#else

/** What a result without a value is made of. */
class failure {
 public:
  /** Of this error. */
  explicit failure(std::error_code error) noexcept : error_(error) {}
  /** The error. */
  const std::error_code& error() const noexcept {
    return error_;
  }

 private:
  std::error_code error_;
};

/** A value, or an error: what this header needs of std::expected, which later versions of the
 * language have. */
template <class T>
class result {
 public:
  /** With the value. */
  result(T value) noexcept : value_(std::move(value)) {}
  /** Without. */
  result(const failure& failed) noexcept : error_(failed.error()) {}
  /** Whether there is a value. */
  bool has_value() const noexcept {
    return value_.has_value();
  }
  /** Whether there is a value. */
  explicit operator bool() const noexcept {
    return has_value();
  }
  /** The value, which has to be there. */
  T& operator*() & noexcept {
    return *value_;
  }
  /** The value, which has to be there. */
  const T& operator*() const& noexcept {
    return *value_;
  }
  /** The value, which has to be there. */
  T&& operator*() && noexcept {
    return *std::move(value_);
  }
  /** The value, which has to be there. */
  T* operator->() noexcept {
    return &*value_;
  }
  /** The value, which has to be there. */
  const T* operator->() const noexcept {
    return &*value_;
  }
  /** The error; none where there is a value. */
  const std::error_code& error() const noexcept {
    return error_;
  }

 private:
  std::optional<T> value_;
  std::error_code error_;
};

#endif

namespace detail {

/* Memory that the library uses is about to be freed: the kernel may write to it. */
[[noreturn]] inline void die(const char* text) noexcept {
  std::fprintf(stderr, "uvdio: %s\n", text);
  std::abort();
}

template <class Number>
result<Number> to_result(std::int64_t code) noexcept {
  if (code < 0) {
    return failure(to_error(code));
  }
  return static_cast<Number>(code);
}

}  // namespace detail

/** A buffer (uvdio_buf_t) that releases its memory. Moving it empties the source. */
class buffer {
 public:
  /** Without memory. */
  buffer() noexcept = default;
  /** Takes what uvdio.h has given. */
  explicit buffer(const uvdio_buf_t& taken) noexcept : buf_(taken) {}
  /** Takes it over; the other one has none. */
  buffer(buffer&& other) noexcept : buf_(std::exchange(other.buf_, uvdio_buf_t{})) {}
  /** Takes it over, after the end of its own. */
  buffer& operator=(buffer&& other) noexcept {
    if (this != &other) {
      reset();
      buf_ = std::exchange(other.buf_, uvdio_buf_t{});
    }
    return *this;
  }
  ~buffer() {
    reset();
  }

  /** As uvdio_buf_alloc(). */
  static result<buffer> allocate(std::size_t size, unsigned flags = 0) noexcept {
    uvdio_buf_t buf{};
    int error = uvdio_buf_alloc(&buf, size, flags);
    if (error != 0) {
      return failure(to_error(error));
    }
    return buffer(buf);
  }
  /** One zeroed page, as uvdio_buf_page(). */
  static result<buffer> page() noexcept {
    return allocate(UVDIO_PAGE_SIZE, UVDIO_BUF_ZEROED);
  }

  /** The first byte; null: no memory. */
  char* data() const noexcept {
    return buf_.base;
  }
  /** Initialised bytes: a write sends them, a completed read sets their number. */
  std::size_t size() const noexcept {
    return buf_.len;
  }
  /** Bytes of memory: a read asks for as many. */
  std::size_t capacity() const noexcept {
    return buf_.cap;
  }
  /** Whether there is memory. */
  explicit operator bool() const noexcept {
    return buf_.base != nullptr;
  }
  /** The initialised bytes. */
  std::span<std::byte> bytes() const noexcept {
    return {reinterpret_cast<std::byte*>(buf_.base), buf_.len};
  }
  /** As uvdio_buf_set_len(). */
  std::error_code resize(std::size_t size) noexcept {
    return to_error(uvdio_buf_set_len(&buf_, size));
  }
  /** As uvdio_buf_extend(). */
  std::error_code append(std::span<const std::byte> more) noexcept {
    return to_error(uvdio_buf_extend(&buf_, more.data(), more.size()));
  }
  /** The buffer for calls of uvdio.h; it stays the owner of the memory. */
  uvdio_buf_t* raw() noexcept {
    return &buf_;
  }
  /** Gives up the memory: what uvdio.h calls the buffer is the caller's. */
  [[nodiscard]] uvdio_buf_t release() noexcept {
    return std::exchange(buf_, uvdio_buf_t{});
  }
  /** Releases the memory. */
  void reset() noexcept {
    if (uvdio_buf_release(&buf_) != 0) {
      detail::die("a buffer was released by somebody else");
    }
  }

 private:
  uvdio_buf_t buf_{};
};

/** The end of a read or write. Reads and writes of one buffer: `auto [bytes, buf] = ...`. */
struct transfer {
  result<std::size_t> bytes; /**< that were transferred, or the error */
  buffer buf;                /**< the caller's again, in every case */
};

/** The end of a read of a range that need not be aligned. */
struct range {
  result<std::size_t> bytes;   /**< of the range, or the error */
  buffer buf;                  /**< the caller's again, in every case */
  std::span<std::byte> inside; /**< the range's bytes in it, as many as arrived */
};

namespace detail {

/* What all that is awaited has: who waits for its end, and how it ended. */
class awaited {
 public:
  awaited() noexcept = default;
  awaited(const awaited&) = delete;
  awaited& operator=(const awaited&) = delete;
  ~awaited() {
    if (is_pending_) {
      die("an operation was destroyed before its end: cancel it, and wait");
    }
  }
  bool await_ready() const noexcept {
    return false;
  }

 protected:
  /* Whether the coroutine has to wait. An error of the call itself is the result at once. */
  template <class Call>
  bool begin(std::coroutine_handle<> waiter, Call&& call) noexcept {
    if (is_pending_) {
      die("an operation was awaited by two");
    }
    waiter_ = waiter;
    is_pending_ = true;
    int error = call();
    if (error != 0) {
      is_pending_ = false;
      result_ = error;
    }
    return is_pending_;
  }
  void end(std::int64_t result) noexcept {
    is_pending_ = false;
    result_ = result;
    waiter_.resume();
  }

  std::int64_t result_ = 0;

 private:
  std::coroutine_handle<> waiter_;
  bool is_pending_ = false;
};

/* The next item of a reader: Take gives it, or says UV_EAGAIN, and Wait waits for one. */
template <class Reader, class Item, int (*Take)(Reader*, Item*),
          int (*Wait)(Reader*, void (*)(int, void*), void*)>
class taker : public awaited {
 public:
  explicit taker(Reader* of) noexcept : reader_(of) {}
  bool await_ready() noexcept {
    status_ = Take(reader_, &taken_);
    return status_ != UV_EAGAIN;
  }
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    return begin(waiter, [this]() {
      int error = Wait(reader_, on_ready, this);
      if (error != 0) { /* there is one by now, or there will be none */
        status_ = error == UV_EALREADY ? Take(reader_, &taken_) : error;
      }
      return error;
    });
  }

 protected:
  Item taken_{};
  int status_ = 0;

 private:
  static void on_ready(int status, void* arg) {
    auto* self = static_cast<taker*>(arg);
    self->status_ = status != 0 ? status : Take(self->reader_, &self->taken_);
    self->end(self->status_);
  }
  Reader* reader_;
};

/* What all operations have: a request. */
class request : public awaited {
 public:
  /** As uvdio_cancel(): of an operation that is awaited. Await it all the same. */
  std::error_code cancel() noexcept {
    return to_error(uvdio_cancel(&req_));
  }

 protected:
  template <class Call>
  bool begin(std::coroutine_handle<> waiter, Call&& call) noexcept {
    return awaited::begin(waiter, [this, &call]() {
      req_.data = this;
      return call(&req_);
    });
  }
  static void on_end(uvdio_req_t* req, std::int64_t result) {
    static_cast<request*>(req->data)->end(result);
  }

  uvdio_req_t req_{};
};

/* An operation without a buffer: `call(req, cb)` submits it. */
template <class Call>
class plain : public request {
 public:
  explicit plain(Call call) noexcept : call_(std::move(call)) {}
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    return begin(waiter, [this](uvdio_req_t* req) { return call_(req, on_end); });
  }

 private:
  Call call_;
};

}  // namespace detail

/** An operation whose end is an error or none. Made by call(). */
template <class Call>
class [[nodiscard]] operation : public detail::plain<Call> {
 public:
  using detail::plain<Call>::plain;
  /** The error. */
  std::error_code await_resume() const noexcept {
    return to_error(this->result_);
  }
};

/** An operation whose end is a number, a size or an offset, or an error. Made by ask(). */
template <class Call>
class [[nodiscard]] question : public detail::plain<Call> {
 public:
  using detail::plain<Call>::plain;
  /** The number. */
  result<std::uint64_t> await_resume() const noexcept {
    return detail::to_result<std::uint64_t>(this->result_);
  }
};

/** Any operation of uvdio.h whose callback is a uvdio_cb, to be awaited:
 *
 *     co_await uvdio::call([&](uvdio_req_t* req, uvdio_cb cb) {
 *       return uvdio_unlink(engine.raw(), req, "old.db", cb);
 *     });
 *
 * What the call is given has to live until it has ended. */
template <class Call>
operation<Call> call(Call submit) noexcept {
  return operation<Call>(std::move(submit));
}

/** As call(), for the operations that give a number (uvdio_size(), uvdio_next_data()). */
template <class Call>
question<Call> ask(Call submit) noexcept {
  return question<Call>(std::move(submit));
}

/** An engine (uvdio_engine_t) of a loop. Moving it leaves none. Its destructor begins to close it
 * (uvdio_engine_close()); the loop has to go on until it has ended. */
class engine {
 public:
  /** None. */
  engine() noexcept = default;

  /** As uvdio_engine_create(). */
  static result<engine> create(uv_loop_t* loop,
                               const uvdio_engine_options_t& options = {}) noexcept {
    uvdio_engine_t* made = nullptr;
    int error = uvdio_engine_create(&made, loop, &options);
    if (error != 0) {
      return failure(to_error(error));
    }
    return engine(made);
  }

  /** The end of the engine: awaited, an error or none. As uvdio_engine_close(). */
  class [[nodiscard]] closing : public detail::awaited {
   public:
    /** Of this engine, which is none from the await on. */
    explicit closing(engine& owner) noexcept : owner_(owner) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this]() {
        int error = uvdio_engine_close(owner_.raw(), on_closed);
        if (error == 0) {
          uvdio_engine_set_data(owner_.engine_.release(), this);
        }
        return error;
      });
    }
    std::error_code await_resume() const noexcept {
      return to_error(result_);
    }

   private:
    static void on_closed(uvdio_engine_t* raw) {
      static_cast<closing*>(uvdio_engine_data(raw))->end(0);
    }
    engine& owner_;
  };
  /** Closes the engine, and waits. It takes the engine's data (uvdio_engine_set_data()). */
  closing close() noexcept {
    return closing(*this);
  }

  /** The engine for calls of uvdio.h; null: none. */
  uvdio_engine_t* raw() const noexcept {
    return engine_.get();
  }
  /** "ring", "aio", "pool", ... */
  const char* backend() const noexcept {
    return uvdio_engine_backend(raw());
  }

 private:
  struct closer {
    void operator()(uvdio_engine_t* raw) const noexcept {
      if (uvdio_engine_close(raw, nullptr) != 0) {
        detail::die(
            "an engine was destroyed that can't be closed: it is closing already, or this is not "
            "the loop's thread");
      }
    }
  };
  explicit engine(uvdio_engine_t* made) noexcept : engine_(made) {}
  std::unique_ptr<uvdio_engine_t, closer> engine_;
};

/** An arena (uvdio_arena_t). It outlives its frames. Moving it leaves none. */
class arena {
 public:
  /** None. */
  arena() noexcept = default;

  /** As uvdio_arena_create(). */
  static result<arena> create(const uvdio_arena_options_t& options) noexcept {
    uvdio_arena_t* made = nullptr;
    int error = uvdio_arena_create(&made, &options);
    if (error != 0) {
      return failure(to_error(error));
    }
    return arena(made);
  }
  /** A frame, or UV_ENOBUFS: as uvdio_arena_acquire(). */
  result<buffer> acquire() noexcept {
    uvdio_buf_t frame{};
    int error = uvdio_arena_acquire(raw(), &frame);
    if (error != 0) {
      return failure(to_error(error));
    }
    return buffer(frame);
  }

  /** A wait for a frame: awaited, the frame. As uvdio_arena_wait(). */
  class [[nodiscard]] waiting : public detail::request {
   public:
    /** On this engine. */
    waiting(engine& on, uvdio_arena_t* of) noexcept : engine_(on), arena_(of) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this](uvdio_req_t* req) {
        return uvdio_arena_wait(engine_.raw(), req, arena_, &frame_, 1, on_end);
      });
    }
    result<buffer> await_resume() noexcept {
      if (result_ < 0) {
        return failure(to_error(result_));
      }
      return buffer(frame_);
    }

   private:
    engine& engine_;
    uvdio_arena_t* arena_;
    uvdio_buf_t frame_{};
  };
  /** Waits until a frame is free, first come first served. */
  waiting wait(engine& on) noexcept {
    return waiting(on, raw());
  }

  /** The arena for calls of uvdio.h; null: none. */
  uvdio_arena_t* raw() const noexcept {
    return arena_.get();
  }

 private:
  struct destroyer {
    void operator()(uvdio_arena_t* raw) const noexcept {
      if (uvdio_arena_destroy(raw, nullptr) != 0) {
        detail::die("an arena was destroyed before its frames were released");
      }
    }
  };
  explicit arena(uvdio_arena_t* made) noexcept : arena_(made) {}
  std::unique_ptr<uvdio_arena_t, destroyer> arena_;
};

/** A file (uvdio_file_t). It stays where it is; what may move has it by a std::unique_ptr. */
class file {
 public:
  /** None is open. */
  file() noexcept = default;
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  /** Closes a file that is open, and waits for that (the synchronous form of uvdio_close()); an
   * error of the system is lost. Await close() to learn it. */
  ~file() {
    uvdio_req_t req{};
    if (uvdio_close(&file_, &req, nullptr) != 0 && is_in_use()) {
      detail::die(
          "a file was destroyed that can't be closed: requests of it or its engine's close are "
          "pending, this is not the loop's thread, or a child that has not closed its engine");
    }
  }

 private:
  /* Reads and writes of one buffer. */
  template <class Call>
  class moving : public detail::request {
   public:
    moving(Call call, buffer&& moved) noexcept : call_(std::move(call)), buf_(std::move(moved)) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this](uvdio_req_t* req) { return call_(req, buf_.raw(), on_moved); });
    }

   protected:
    result<std::size_t> bytes() const noexcept {
      return detail::to_result<std::size_t>(result_);
    }
    static void on_moved(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
      auto* self = static_cast<moving*>(static_cast<detail::request*>(req->data));
      self->buf_ = buffer(buf);
      self->end(result);
    }
    Call call_;
    buffer buf_;
  };

  template <class Call>
  class [[nodiscard]] transferring : public moving<Call> {
   public:
    using moving<Call>::moving;
    transfer await_resume() noexcept {
      return {this->bytes(), std::move(this->buf_)};
    }
  };

  template <class Call>
  class [[nodiscard]] ranging : public moving<Call> {
   public:
    using moving<Call>::moving;
    range await_resume() noexcept {
      std::span<std::byte> inside;
      if (this->buf_ && this->req_.transferred > 0) {
        uvdio_buf_t view = uvdio_range_view(&this->req_, this->buf_.raw());
        inside = {reinterpret_cast<std::byte*>(view.base), view.len};
      }
      return {this->bytes(), std::move(this->buf_), inside};
    }
  };

  /* Reads and writes of several buffers, which are the caller's array. */
  template <class Call>
  class [[nodiscard]] vectoring : public detail::request {
   public:
    vectoring(Call call, std::span<buffer> bufs) noexcept : call_(std::move(call)), bufs_(bufs) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this](uvdio_req_t* req) {
        static_assert(sizeof(buffer) == sizeof(uvdio_buf_t) && std::is_standard_layout_v<buffer>);
        auto* first = bufs_.empty() ? nullptr : bufs_.front().raw();
        return bufs_.size() > UVDIO_VECTOR_MAX
                   ? UV_E2BIG
                   : call_(req, first, static_cast<unsigned>(bufs_.size()), on_moved);
      });
    }
    result<std::size_t> await_resume() const noexcept {
      return detail::to_result<std::size_t>(result_);
    }

   private:
    static void on_moved(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
      auto* self = static_cast<vectoring*>(static_cast<detail::request*>(req->data));
      for (unsigned i = 0; i < count; i++) {
        self->bufs_[i] = buffer(bufs[i]);
      }
      self->end(result);
    }
    Call call_;
    std::span<buffer> bufs_;
  };

  template <class Call>
  static auto move(Call call, buffer&& moved) noexcept {
    return transferring<Call>(std::move(call), std::move(moved));
  }

 public:
  /** As uvdio_open(). `path` has to live until the operation is awaited, and is copied then. */
  auto open(engine& on, const char* path, unsigned flags, int mode = 0666) noexcept {
    return call([this, &on, path, flags, mode](uvdio_req_t* req, uvdio_cb cb) {
      return uvdio_open(on.raw(), &file_, req, path, flags, mode, cb);
    });
  }
  /** As uvdio_close(). */
  auto close() noexcept {
    return call([this](uvdio_req_t* req, uvdio_cb cb) { return uvdio_close(&file_, req, cb); });
  }

  /** As uvdio_read(): fills the buffer's capacity. The buffer is the library's while the read runs;
   * it comes back with the result. */
  auto read(buffer&& into, std::uint64_t offset) noexcept {
    return move([this, offset](uvdio_req_t* req, uvdio_buf_t* buf,
                               uvdio_io_cb cb) { return uvdio_read(&file_, req, buf, offset, cb); },
                std::move(into));
  }
  /** As uvdio_read_exact(). */
  auto read_exact(buffer&& into, std::uint64_t offset) noexcept {
    return move(
        [this, offset](uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
          return uvdio_read_exact(&file_, req, buf, offset, cb);
        },
        std::move(into));
  }
  /** As uvdio_range_size(): the capacity that read_range() wants. */
  std::size_t range_size(std::uint64_t offset, std::size_t length) const noexcept {
    return uvdio_range_size(&file_, offset, length);
  }
  /** As uvdio_read_range(): bytes that need not be aligned. */
  auto read_range(buffer&& into, std::uint64_t offset, std::size_t length) noexcept {
    auto call = [this, offset, length](uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
      return uvdio_read_range(&file_, req, buf, offset, length, cb);
    };
    return ranging<decltype(call)>(call, std::move(into));
  }
  /** As uvdio_write_flags() (UVDIO_WRITE_*): the buffer's initialised bytes. */
  auto write(buffer&& from, std::uint64_t offset, unsigned flags = 0) noexcept {
    return move(
        [this, offset, flags](uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
          return uvdio_write_flags(&file_, req, buf, offset, flags, cb);
        },
        std::move(from));
  }

  /** As uvdio_readv(): several buffers, which are without memory while the read runs, and come back
   * in their places. The array has to stay. Awaited: the bytes of all, or the error. */
  auto read(std::span<buffer> into, std::uint64_t offset) noexcept {
    auto call = [this, offset](uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                               uvdio_vector_cb cb) {
      return uvdio_readv(&file_, req, bufs, count, offset, cb);
    };
    return vectoring<decltype(call)>(call, into);
  }
  /** As uvdio_writev_flags(), with the buffers as in a read of several. */
  auto write(std::span<buffer> from, std::uint64_t offset, unsigned flags = 0) noexcept {
    auto call = [this, offset, flags](uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                                      uvdio_vector_cb cb) {
      return uvdio_writev_flags(&file_, req, bufs, count, offset, flags, cb);
    };
    return vectoring<decltype(call)>(call, from);
  }

  /** As uvdio_sync_data(). */
  auto sync_data() noexcept {
    return call([this](uvdio_req_t* req, uvdio_cb cb) { return uvdio_sync_data(&file_, req, cb); });
  }
  /** As uvdio_sync_all(). */
  auto sync_all() noexcept {
    return call([this](uvdio_req_t* req, uvdio_cb cb) { return uvdio_sync_all(&file_, req, cb); });
  }
  /** As uvdio_size(): bytes. */
  auto size() noexcept {
    return ask([this](uvdio_req_t* req, uvdio_cb cb) { return uvdio_size(&file_, req, cb); });
  }
  /** As uvdio_truncate(). */
  auto truncate(std::uint64_t size) noexcept {
    return call([this, size](uvdio_req_t* req, uvdio_cb cb) {
      return uvdio_truncate(&file_, req, size, cb);
    });
  }

  /** The file for calls of uvdio.h. */
  uvdio_file_t* raw() noexcept {
    return &file_;
  }

 private:
  /* Whether the library has it, opening and closing ones included. */
  bool is_in_use() noexcept {
    return uvdio_file_cancel(&file_) != UV_EBADF;
  }
  uvdio_file_t file_{};
};

/** A coroutine whose result another one awaits, or that start() begins. It begins when it is
 * awaited. Any other kind of coroutine can await what this header has; this one is for who has
 * none. */
template <class T>
class [[nodiscard]] task {
 public:
  class promise_type;

  /** Takes it over; the other one has none. */
  task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (handle_) {
      handle_.destroy();
    }
  }

  bool await_ready() const noexcept {
    return false;
  }
  /* One that ends without a wait leaves nothing on the stack, also where calls at the end of a
   * function are calls (gcc without optimisation). */
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    if (!handle_ || handle_.promise().has_begun) {
      detail::die("a task was awaited twice, or moved before");
    }
    handle_.promise().has_begun = true;
    handle_.resume();
    if (handle_.done()) {
      return false;
    }
    handle_.promise().waiter = waiter;
    return true;
  }
  T await_resume() noexcept {
    return std::move(*handle_.promise().value);
  }

 private:
  explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

/* Goes on with who waits for a task. */
struct handing_over {
  bool await_ready() const noexcept {
    return false;
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    if (ended.promise().waiter) {
      ended.promise().waiter.resume(); /* which may destroy the coroutine */
    }
  }
  void await_resume() const noexcept {}
};

/* A coroutine that nobody waits for. */
struct detached {
  struct promise_type {
    detached get_return_object() const noexcept {
      return {};
    }
    std::suspend_never initial_suspend() const noexcept {
      return {};
    }
    std::suspend_never final_suspend() const noexcept {
      return {};
    }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {
      die("an exception left a coroutine");
    }
  };
};

}  // namespace detail

template <class T>
class task<T>::promise_type {
 public:
  task get_return_object() noexcept {
    return task(std::coroutine_handle<promise_type>::from_promise(*this));
  }
  std::suspend_always initial_suspend() const noexcept {
    return {};
  }
  detail::handing_over final_suspend() const noexcept {
    return {};
  }
  void return_value(T result) noexcept {
    value.emplace(std::move(result));
  }
  void unhandled_exception() const noexcept {
    detail::die("an exception left a coroutine");
  }

  std::optional<T> value;
  std::coroutine_handle<> waiter;
  bool has_begun = false;
};

/** Runs a task up to its first wait; the loop does the rest. `then` is called with its result. */
template <class T, class Then>
void start(task<T> begun, Then then) {
  [](task<T> running, Then last) -> detail::detached { last(co_await running); }(std::move(begun),
                                                                                 std::move(then));
}

}  // namespace UVDIO_HPP_NAMESPACE_
}  // namespace uvdio

/** Of the library's own errors (std::is_error_code_enum). */
inline std::error_code make_error_code(uvdio_errno code) noexcept {
  return {static_cast<int>(code), uvdio::error_category()};
}

#endif /* UVDIO_HPP */
