/* SPDX-License-Identifier: MIT */
/**
 * @file log.hpp
 * Logs (uvdio/log.h) and their readers (uvdio/log_reader.h) for C++20: opens, appends and closes
 * that are awaited.
 *
 *     using bytes = std::span<const std::byte>;
 *
 *     uvdio::task<std::error_code> remember(uvdio::engine& engine, bytes what) {
 *       uvdio::log log;
 *       auto replay = [](std::uint64_t lsn, bytes record) { ... };
 *       if (auto error = co_await log.open(engine, "log", {}, replay)) {
 *         co_return error;
 *       }
 *       auto lsn = co_await log.append(what);           (durable, where there is no error)
 *       auto closed = co_await log.close();
 *       co_return lsn ? closed : lsn.error();
 *     }
 *
 * A log is closed, and its close awaited, before it is destroyed, and so is a reader of one; where
 * their engine was closed before, they need not be. Else the program ends, as for a file
 * (uvdio.hpp).
 */
#ifndef UVDIO_LOG_HPP
#define UVDIO_LOG_HPP

#include "../uvdio.hpp"
#include "log.h"
#include "log_reader.h"

namespace uvdio {
inline namespace UVDIO_HPP_NAMESPACE_ {

/** A log (uvdio_log_t). Moving it leaves none. */
class log {
 public:
  /** None. */
  log() noexcept = default;

  /** The recovery of a log: awaited, an error or none. Made by open(). */
  template <class OnRecord>
  class [[nodiscard]] opening : public detail::awaited {
   public:
    /** Of this log, in the directory `where`. */
    opening(log& owner, engine& on, const char* where, const uvdio_log_options_t& options,
            OnRecord on_record) noexcept
        : owner_(owner),
          engine_(on),
          path_(where),
          options_(options),
          record_cb_(std::move(on_record)) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this]() { return submit(); });
    }
    std::error_code await_resume() const noexcept {
      return to_error(result_);
    }

   private:
    int submit() noexcept {
      uvdio_log_t* made = nullptr;
      int error = owner_.raw() != nullptr ? UV_EBUSY
                                          : uvdio_log_open(&made, engine_.raw(), path_, &options_,
                                                           on_record, on_open, this);
      if (error == 0) {
        owner_.log_.reset(made);
      }
      return error;
    }
    static void on_record(std::uint64_t lsn, const void* data, std::size_t length, void* arg) {
      static_cast<opening*>(arg)->record_cb_(
          lsn, std::span<const std::byte>(static_cast<const std::byte*>(data), length));
    }
    /* One that could not be opened is closed; its error is the open's. Where the engine is closing
     * it is there until that is closed. */
    static void on_open(uvdio_log_t* raw, int status, void* arg) {
      auto* self = static_cast<opening*>(arg);
      self->status_ = status;
      if (status == 0 || uvdio_log_close(raw, on_failure_closed, self) != 0) {
        self->end(status);
      } else {
        (void)self->owner_.log_.release();
      }
    }
    static void on_failure_closed(uvdio_log_t* raw, int status, void* arg) {
      auto* self = static_cast<opening*>(arg);
      self->owner_.take_back(raw, status);
      self->end(self->status_);
    }
    log& owner_;
    engine& engine_;
    const char* path_;
    uvdio_log_options_t options_;
    OnRecord record_cb_;
    int status_ = 0;
  };

  /** As uvdio_log_open(): `on_record(lsn, bytes)` is called for each record that is replayed, and
   * its bytes are there until it returns. After an error the log is none. `where` has to live until
   * the open is awaited; the log stays where it is until it has ended. Errors: those of
   * uvdio_log_open(); UV_EBUSY (it is open). */
  template <class OnRecord>
  auto open(engine& on, const char* where, const uvdio_log_options_t& options,
            OnRecord on_record) noexcept {
    return opening<OnRecord>(*this, on, where, options, std::move(on_record));
  }

  /** An append: awaited, the record's LSN or an error. */
  class [[nodiscard]] appending : public detail::awaited {
   public:
    /** Of these bytes, to this log. */
    appending(uvdio_log_t* to, std::span<const std::byte> bytes) noexcept
        : log_(to), bytes_(bytes) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      append_.data = this;
      return begin(waiter, [this]() {
        return uvdio_log_append(log_, &append_, bytes_.data(), bytes_.size(), on_end);
      });
    }
    result<std::uint64_t> await_resume() const noexcept {
      if (result_ < 0) {
        return failure(to_error(result_));
      }
      return append_.lsn;
    }

   private:
    static void on_end(uvdio_log_append_t* append, int status) {
      static_cast<appending*>(append->data)->end(status);
    }
    uvdio_log_t* log_;
    std::span<const std::byte> bytes_;
    uvdio_log_append_t append_{};
  };
  /** As uvdio_log_append(): the record is durable where there is no error. Its bytes have to live,
   * and must not change, until that has ended. */
  appending append(std::span<const std::byte> bytes) noexcept {
    return appending(raw(), bytes);
  }
  /** As uvdio_log_cut(). */
  std::error_code cut(std::uint64_t lsn) noexcept {
    return to_error(uvdio_log_cut(raw(), lsn));
  }
  /** As uvdio_log_durable(). */
  std::uint64_t durable() const noexcept {
    return uvdio_log_durable(raw());
  }

  /** The end of the log: awaited, the error that has stopped it or none. */
  class [[nodiscard]] closing : public detail::awaited {
   public:
    /** Of this log, which is none from the await on. */
    explicit closing(log& owner) noexcept : owner_(owner) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this]() {
        int error = uvdio_log_close(owner_.raw(), on_closed, this);
        if (error == 0) {
          (void)owner_.log_.release();
        }
        return error;
      });
    }
    std::error_code await_resume() const noexcept {
      return to_error(result_);
    }

   private:
    static void on_closed(uvdio_log_t* raw, int status, void* arg) {
      auto* self = static_cast<closing*>(arg);
      self->owner_.take_back(raw, status);
      self->end(status);
    }
    log& owner_;
  };
  /** As uvdio_log_close(), after its readers' closes. It stays where it is meanwhile. Where the
   * engine is closed before the end that is UV_EBADF, and the log is there again, to be destroyed
   * when the engine is closed. */
  closing close() noexcept {
    return closing(*this);
  }
  /** The log for calls of uvdio/log.h; null: none. */
  uvdio_log_t* raw() const noexcept {
    return log_.get();
  }

 private:
  struct destroyer {
    void operator()(uvdio_log_t* raw) const noexcept {
      if (uvdio_log_destroy(raw) != 0) {
        detail::die("a log was destroyed that is open: await close()");
      }
    }
  };
  /* The engine was closed before the end of the log's close, and has left the log to us. */
  void take_back(uvdio_log_t* raw, int status) noexcept {
    if (status == UV_EBADF) {
      log_.reset(raw);
    }
  }
  std::unique_ptr<uvdio_log_t, destroyer> log_;
};

/** A record that a reader has given. */
struct record {
  std::uint64_t lsn;                /**< its sequence number */
  std::span<const std::byte> bytes; /**< the reader's, until its next take, close or destruction */
};

/** A reader of a log (uvdio_log_reader_t). Moving it leaves none. */
class log_reader {
 public:
  /** None. */
  log_reader() noexcept = default;

  /** As uvdio_log_reader_create(). */
  static result<log_reader> create(log& of,
                                   const uvdio_log_reader_options_t& options = {}) noexcept {
    uvdio_log_reader_t* made = nullptr;
    int error = uvdio_log_reader_create(&made, of.raw(), &options);
    if (error != 0) {
      return failure(to_error(error));
    }
    return log_reader(made);
  }

  /** The next record: awaited, the record or an error. */
  class [[nodiscard]] taking : public detail::taker<uvdio_log_reader_t, uvdio_log_record_t,
                                                    uvdio_log_reader_take, uvdio_log_reader_wait> {
   public:
    using taker::taker;
    /** The record. */
    result<record> await_resume() const noexcept {
      if (status_ != 0) {
        return failure(to_error(status_));
      }
      return record{taken_.lsn, {static_cast<const std::byte*>(taken_.bytes), taken_.length}};
    }
  };
  /** Takes the next record, and waits for it where it is not durable yet. After the log's close
   * the end is an error: `record.error().value() == UV_EOF`. Errors: those of
   * uvdio_log_reader_take(), and UV_ECANCELED (the reader was closed meanwhile). */
  taking take() noexcept {
    return taking(raw());
  }

  /** The end of the reader: awaited, an error or none. */
  class [[nodiscard]] closing : public detail::awaited {
   public:
    /** Of this reader, which is none from the await on. */
    explicit closing(log_reader& owner) noexcept : owner_(owner) {}
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this]() {
        reader_ = owner_.raw();
        int error = uvdio_log_reader_close(reader_, on_closed, this);
        if (error == 0) {
          (void)owner_.reader_.release();
        }
        return error;
      });
    }
    std::error_code await_resume() const noexcept {
      return to_error(result_);
    }

   private:
    static void on_closed(int status, void* arg) {
      auto* self = static_cast<closing*>(arg);
      if (status == UV_EBADF) { /* as a log's */
        self->owner_.reader_.reset(self->reader_);
      }
      self->end(status);
    }
    log_reader& owner_;
    uvdio_log_reader_t* reader_ = nullptr;
  };
  /** As uvdio_log_reader_close(); UV_EBADF as of a log's close. */
  closing close() noexcept {
    return closing(*this);
  }
  /** The reader for calls of uvdio/log_reader.h; null: none. */
  uvdio_log_reader_t* raw() const noexcept {
    return reader_.get();
  }

 private:
  struct destroyer {
    void operator()(uvdio_log_reader_t* raw) const noexcept {
      if (uvdio_log_reader_destroy(raw) != 0) {
        detail::die("a reader of a log was destroyed that is open: await close()");
      }
    }
  };
  explicit log_reader(uvdio_log_reader_t* made) noexcept : reader_(made) {}
  std::unique_ptr<uvdio_log_reader_t, destroyer> reader_;
};

}  // namespace UVDIO_HPP_NAMESPACE_
}  // namespace uvdio

#endif /* UVDIO_LOG_HPP */
