/* SPDX-License-Identifier: MIT */
/**
 * @file stream.hpp
 * Streams (uvdio/stream.h) for C++20: a reader whose blocks are awaited, and a writer that takes
 * bytes of any size.
 *
 *     uvdio::task<std::error_code> copy(uvdio::file& from, uvdio::file& to, uvdio::arena& frames) {
 *       auto in = uvdio::reader::create(from, frames);
 *       auto out = uvdio::writer::create(to, frames);
 *       if (!in || !out) {
 *         co_return in ? out.error() : in.error();
 *       }
 *       auto block = co_await in->take();
 *       std::error_code error;
 *       while (block && !error) {
 *         error = co_await out->write(block->bytes);
 *         block = co_await in->take();                   (which releases the block before it)
 *       }
 *       error = error || block.error().value() == UV_EOF ? error : block.error();
 *       auto closed = co_await out->close();
 *       co_await in->close();
 *       co_return error ? error : closed;
 *     }
 *
 * A stream is closed, and its close awaited, before it is destroyed; one that has no request
 * pending need not be. Else the program ends, as for a file (uvdio.hpp). File and arena outlive it.
 */
#ifndef UVDIO_STREAM_HPP
#define UVDIO_STREAM_HPP

#include "../uvdio.hpp"
#include "stream.h"

namespace uvdio {
inline namespace UVDIO_HPP_NAMESPACE_ {

/** A block of a reader. */
struct block {
  buffer frame;               /**< the caller's */
  std::span<std::byte> bytes; /**< of the block, within the frame */
  std::uint64_t offset = 0;   /**< bytes: where they begin in the file */
  void* data = nullptr;       /**< what the callback that named the block has set */
};

namespace detail {

/* A call of uvdio/stream.h that ends by a callback. */
template <class Stream>
using stream_call = int (*)(Stream*, uvdio_stream_cb, void*);

/* Its end: awaited, an error or none. */
template <class Stream>
class [[nodiscard]] notice : public awaited {
 public:
  notice(Stream* of, stream_call<Stream> call) noexcept : stream_(of), call_(call) {}
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    return begin(waiter, [this]() { return call_(stream_, on_end, this); });
  }
  std::error_code await_resume() const noexcept {
    return to_error(result_);
  }

 protected:
  static void on_end(int status, void* arg) {
    static_cast<notice*>(arg)->end(status);
  }
  Stream* stream_;
  stream_call<Stream> call_;
};

/* The end of a close, after which the stream is nobody's. */
template <class Stream, class Owner>
class [[nodiscard]] last_notice : public notice<Stream> {
 public:
  last_notice(Owner& owner, stream_call<Stream> call) noexcept
      : notice<Stream>(owner.get(), call), owner_(owner) {}
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    return this->begin(waiter, [this]() {
      int error = this->call_(this->stream_, this->on_end, static_cast<notice<Stream>*>(this));
      if (error == 0) {
        (void)owner_.release();
      }
      return error;
    });
  }

 private:
  Owner& owner_;
};

}  // namespace detail

/** A stream that reads a file ahead (uvdio_reader_t). Moving it leaves none. */
class reader {
 public:
  /** None. */
  reader() noexcept = default;

  /** As uvdio_reader_create(). */
  static result<reader> create(file& of, arena& frames,
                               const uvdio_reader_options_t& options = {}) noexcept {
    uvdio_reader_t* made = nullptr;
    int error = uvdio_reader_create(&made, of.raw(), frames.raw(), &options);
    if (error != 0) {
      return failure(to_error(error));
    }
    return reader(made);
  }

  /** The next block: awaited, the block or an error. */
  class [[nodiscard]] taking
      : public detail::taker<uvdio_reader_t, uvdio_block_t, uvdio_reader_take, uvdio_reader_wait> {
   public:
    using taker::taker;
    /** The block, which is the caller's. */
    result<block> await_resume() noexcept {
      if (status_ != 0) {
        return failure(to_error(status_));
      }
      return block{buffer(taken_.buf),
                   {reinterpret_cast<std::byte*>(taken_.view.base), taken_.view.len},
                   taken_.offset,
                   taken_.data};
    }
  };
  /** Takes the next block, and waits for it where it has not arrived. The end of the stream is an
   * error as well: `block.error().value() == UV_EOF`. Errors: those of uvdio_reader_take(), and
   * UV_ECANCELED (the stream was closed meanwhile). */
  taking take() noexcept {
    return taking(raw());
  }
  /** As uvdio_reader_seek(). */
  std::error_code seek(std::uint64_t begin, std::uint64_t end = 0) noexcept {
    return to_error(uvdio_reader_seek(raw(), begin, end));
  }
  /** As uvdio_reader_close(): awaited, an error or none; the stream is gone where the call was
   * accepted. */
  auto close() noexcept {
    return detail::last_notice(reader_, uvdio_reader_close);
  }
  /** The stream for calls of uvdio/stream.h; null: none. */
  uvdio_reader_t* raw() const noexcept {
    return reader_.get();
  }

 private:
  struct destroyer {
    void operator()(uvdio_reader_t* raw) const noexcept {
      if (uvdio_reader_destroy(raw) != 0) {
        detail::die("a reader was destroyed with requests pending: await close()");
      }
    }
  };
  explicit reader(uvdio_reader_t* made) noexcept : reader_(made) {}
  std::unique_ptr<uvdio_reader_t, destroyer> reader_;
};

/** A stream that writes a file behind (uvdio_writer_t). Moving it leaves none. */
class writer {
 public:
  /** None. */
  writer() noexcept = default;

  /** As uvdio_writer_create(). */
  static result<writer> create(file& of, arena& frames,
                               const uvdio_writer_options_t& options = {}) noexcept {
    uvdio_writer_t* made = nullptr;
    int error = uvdio_writer_create(&made, of.raw(), frames.raw(), &options);
    if (error != 0) {
      return failure(to_error(error));
    }
    return writer(made);
  }

  /** Bytes on their way into the stream: awaited, an error or none. */
  class [[nodiscard]] writing : public detail::awaited {
   public:
    /** Of these bytes, into this stream. */
    writing(uvdio_writer_t* into, std::span<const std::byte> bytes) noexcept
        : writer_(into), left_(bytes) {}
    bool await_ready() noexcept {
      status_ = push();
      return status_ != UV_EAGAIN;
    }
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
      return begin(waiter, [this]() {
        status_ = go_on();
        return status_ == UV_EAGAIN ? 0 : UV_EALREADY; /* which is no result */
      });
    }
    std::error_code await_resume() const noexcept {
      return to_error(status_);
    }

   private:
    /* As many as there is room for: 0 where none are left. */
    int push() noexcept {
      while (!left_.empty()) {
        std::int64_t taken = uvdio_writer_write(writer_, left_.data(), left_.size());
        if (taken < 0) {
          return static_cast<int>(taken);
        }
        left_ = left_.subspan(static_cast<std::size_t>(taken));
      }
      return 0;
    }
    /* UV_EAGAIN: a wait has begun. Other threads may release frames of the arena: then there is
     * room where there was none. */
    int go_on() noexcept {
      int error = push();
      while (error == UV_EAGAIN) {
        error = uvdio_writer_wait(writer_, on_room, this);
        if (error == 0) {
          return UV_EAGAIN;
        }
        error = error == UV_EALREADY ? push() : error;
      }
      return error;
    }
    static void on_room(int status, void* arg) {
      auto* self = static_cast<writing*>(arg);
      self->status_ = status != 0 ? status : self->go_on();
      if (self->status_ != UV_EAGAIN) {
        self->end(self->status_);
      }
    }
    uvdio_writer_t* writer_;
    std::span<const std::byte> left_;
    int status_ = 0;
  };
  /** Gives all of the bytes to the stream, and waits for room where there is none. They have to
   * live until that has ended. Errors: those of uvdio_writer_write() and uvdio_writer_wait(). */
  writing write(std::span<const std::byte> bytes) noexcept {
    return writing(raw(), bytes);
  }
  /** As uvdio_writer_put(): where there is no error the frame is the stream's, and empty. */
  std::error_code put(buffer& frame) noexcept {
    return to_error(uvdio_writer_put(raw(), frame.raw()));
  }
  /** As uvdio_writer_wait(). */
  auto wait() noexcept {
    return detail::notice(raw(), uvdio_writer_wait);
  }
  /** As uvdio_writer_skip(). */
  std::error_code skip(std::uint64_t length) noexcept {
    return to_error(uvdio_writer_skip(raw(), length));
  }
  /** As uvdio_writer_flush(). */
  auto flush() noexcept {
    return detail::notice(raw(), uvdio_writer_flush);
  }
  /** As uvdio_writer_sync(). */
  auto sync() noexcept {
    return detail::notice(raw(), uvdio_writer_sync);
  }
  /** As uvdio_writer_end(): bytes. */
  result<std::uint64_t> end() const noexcept {
    return detail::to_result<std::uint64_t>(uvdio_writer_end(raw()));
  }
  /** As uvdio_writer_close(): awaited, an error or none; the stream is gone where the call was
   * accepted. */
  auto close() noexcept {
    return detail::last_notice(writer_, uvdio_writer_close);
  }
  /** The stream for calls of uvdio/stream.h; null: none. */
  uvdio_writer_t* raw() const noexcept {
    return writer_.get();
  }

 private:
  struct destroyer {
    void operator()(uvdio_writer_t* raw) const noexcept {
      if (uvdio_writer_destroy(raw) != 0) {
        detail::die("a writer was destroyed with requests pending: await close()");
      }
    }
  };
  explicit writer(uvdio_writer_t* made) noexcept : writer_(made) {}
  std::unique_ptr<uvdio_writer_t, destroyer> writer_;
};

}  // namespace UVDIO_HPP_NAMESPACE_
}  // namespace uvdio

#endif /* UVDIO_STREAM_HPP */
