/* SPDX-License-Identifier: MIT */
/*
 * uvdio.hpp: what coroutines are given, what releases itself, and what ends the program.
 *
 *   test_cxx BACKEND
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uvdio.hpp>
#include <uvdio/log.hpp>
#include <uvdio/stream.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants the three before. */
#include <cmocka.h>
}

static uvdio_backend_t backend;
static std::size_t allocations;

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  allocations++;
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

/* A loop and an engine; `run` runs a test's task to its end, and nothing is left then. */
class world {
 public:
  world() noexcept {
    uvdio_engine_options_t options{};
    options.backend = backend;
    assert_int_equal(uv_loop_init(&loop), 0);
    auto made = uvdio::engine::create(&loop, options);
    assert_true(made.has_value());
    engine = std::move(*made);
  }
  ~world() noexcept {
    if (engine.raw() != nullptr) {
      engine = uvdio::engine();
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
  }
  void run(uvdio::task<bool> test) noexcept {
    bool has_ended = false;
    uvdio::start(std::move(test), [&](bool passed) {
      assert_true(passed);
      has_ended = true;
    });
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(has_ended);
  }
  uv_loop_t loop;
  uvdio::engine engine;
};

static void assert_none(std::error_code error) {
  assert_int_equal(error.value(), 0);
}

/* Of this process: tests run side by side. */
static char path[64];
static char other_path[80];

static uvdio::buffer page(char fill) {
  uvdio::buffer made = std::move(*uvdio::buffer::page());
  std::memset(made.data(), fill, made.size());
  return made;
}

static uvdio::task<bool> round_trip(uvdio::engine& engine) {
  uvdio::file file;
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  auto [written, back] = co_await file.write(page('a'), 4096);
  assert_int_equal(*written, 4096);
  char* memory = back.data();
  assert_none(co_await file.sync_data());
  assert_none(co_await file.sync_all());
  assert_int_equal(*co_await file.size(), 8192);
  assert_none(back.resize(0));
  auto read = co_await file.read(std::move(back), 4096);
  assert_int_equal(*read.bytes, 4096);
  assert_ptr_equal(read.buf.data(), memory);
  assert_int_equal(read.buf.bytes()[4095], 'a');
  auto range = co_await file.read_range(std::move(*uvdio::buffer::allocate(8192)), 4090, 10);
  assert_int_equal(*range.bytes, 10);
  assert_int_equal(range.inside.size(), 10);
  assert_int_equal(range.inside[5], 0);
  assert_int_equal(range.inside[6], 'a');
  assert_none(co_await file.truncate(4096));
  assert_int_equal(*co_await file.size(), 4096);
  co_return !co_await file.close();
}

static void bytes_go_there_and_come_back(void**) {
  world here;
  here.run(round_trip(here.engine));
}

static uvdio::task<bool> errors(uvdio::engine& engine) {
  uvdio::file file;
  auto missing = co_await file.open(engine, "cxx.missing", UVDIO_OPEN_READ);
  assert_true(missing == std::errc::no_such_file_or_directory);
  assert_int_equal(missing.value(), UV_ENOENT);
  assert_string_equal(missing.message().c_str(), uvdio_strerror(UV_ENOENT));
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  /* refused by the call: nobody waits */
  auto odd = co_await file.write(page('a'), 1);
  assert_true(odd.bytes.error() == UVDIO_EALIGN);
  assert_true(odd.bytes.error() != UVDIO_EOFFSET);
  assert_non_null(odd.buf.data());
  assert_int_equal(odd.buf.size(), 4096);
  /* delivered: the buffer comes back with what arrived */
  auto at_end = co_await file.read_exact(std::move(odd.buf), 0);
  assert_true(at_end.bytes.error() == UVDIO_ESHORTREAD);
  assert_non_null(at_end.buf.data());
  assert_int_equal(at_end.buf.size(), 0);
  auto none = co_await file.read(uvdio::buffer(), 0);
  assert_true(none.bytes.error() == std::errc::invalid_argument);
  auto range = co_await file.read_range(std::move(at_end.buf), 10, 10);
  assert_int_equal(*range.bytes, 0);
  assert_int_equal(range.inside.size(), 0);
  assert_none(co_await file.close());
  auto closed = co_await file.size();
  assert_int_equal(closed.error().value(), UV_EBADF);
  co_return true;
}

static void errors_are_told_and_buffers_come_back(void**) {
  world here;
  here.run(errors(here.engine));
}

/* Several buffers; and none are lost where the call refuses them. */
static uvdio::task<bool> vectors(uvdio::engine& engine) {
  uvdio::file file;
  std::array<uvdio::buffer, 3> pages = {page('a'), page('b'), page('c')};
  const char* second = pages[1].data();
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  assert_int_equal(*co_await file.write(pages, 0), 12288);
  assert_ptr_equal(pages[1].data(), second);
  for (auto& one : pages) {
    assert_none(one.resize(0));
  }
  auto odd = co_await file.read(pages, 1);
  assert_true(odd.error() == UVDIO_EALIGN);
  assert_ptr_equal(pages[1].data(), second);
  assert_int_equal(*co_await file.read(pages, 4096), 8192);
  assert_int_equal(pages[0].bytes()[0], 'b');
  assert_int_equal(pages[1].bytes()[4095], 'c');
  assert_int_equal(pages[2].size(), 0);
  auto none = co_await file.read(std::span<uvdio::buffer>(), 0);
  assert_true(none.error() == std::errc::invalid_argument);
  co_return !co_await file.close();
}

static void buffers_go_there_together(void**) {
  world here;
  here.run(vectors(here.engine));
}

static constexpr std::size_t FRAME = 16384;
static constexpr std::size_t LENGTH = 10 * FRAME + 123;

static std::byte byte_at(std::size_t offset) {
  return static_cast<std::byte>(offset * 2654435761u >> 24);
}

/* By pieces of 5000 bytes, for which there is not always room. */
static uvdio::task<bool> write_stream(uvdio::file& file, uvdio::arena& frames) {
  auto made = uvdio::writer::create(file, frames);
  assert_true(made.has_value());
  uvdio::writer writer = std::move(*made);
  std::array<std::byte, 5000> piece;
  for (std::size_t at = 0; at < LENGTH; at += piece.size()) {
    std::size_t length = std::min(piece.size(), LENGTH - at);
    for (std::size_t i = 0; i < length; i++) {
      piece[i] = byte_at(at + i);
    }
    assert_none(co_await writer.write({piece.data(), length}));
  }
  assert_int_equal(*writer.end(), LENGTH);
  assert_none(co_await writer.flush());
  assert_none(co_await writer.sync());
  assert_true(co_await writer.wait() == std::errc::connection_already_in_progress);
  auto odd = page('x');
  assert_true(writer.put(odd) == UVDIO_EALIGN);
  assert_true(bool(odd));
  assert_none(co_await writer.close());
  assert_null(writer.raw());
  co_return true;
}

static uvdio::task<bool> read_stream(uvdio::file& file, uvdio::arena& frames) {
  auto made = uvdio::reader::create(file, frames);
  assert_true(made.has_value());
  uvdio::reader reader = std::move(*made);
  std::size_t at = 0;
  auto block = co_await reader.take();
  while (block) {
    assert_int_equal(block->offset, at);
    for (std::byte byte : block->bytes) {
      assert_true(byte == byte_at(at++));
    }
    block = co_await reader.take();
  }
  assert_int_equal(block.error().value(), UV_EOF);
  assert_int_equal(at, LENGTH);
  assert_none(reader.seek(FRAME + 7));
  assert_int_equal((co_await reader.take())->offset, FRAME + 7);
  assert_none(co_await reader.close());
  assert_null(reader.raw());
  co_return true;
}

static uvdio::task<bool> streams(uvdio::engine& engine, uvdio::arena& frames) {
  uvdio::file file;
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  assert_true(co_await write_stream(file, frames));
  assert_int_equal(*co_await file.size(), LENGTH);
  assert_true(co_await read_stream(file, frames));
  co_return !co_await file.close();
}

static void streams_are_awaited(void**) {
  uvdio_arena_options_t options{};
  options.frame_size = FRAME;
  options.frame_count = 4;
  auto frames = uvdio::arena::create(options);
  assert_true(frames.has_value());
  world here;
  here.run(streams(here.engine, *frames));
}

static std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct replay {
  std::uint64_t last = 0;
  unsigned count = 0;
};

static uvdio::task<bool> append_some(uvdio::log& log) {
  auto made = uvdio::log_reader::create(log);
  assert_true(made.has_value());
  uvdio::log_reader reader = std::move(*made);
  auto first = co_await log.append(bytes_of("first"));
  auto second = co_await log.append(bytes_of("second"));
  assert_true(*second > *first);
  assert_true(log.durable() > *second);
  assert_true((co_await log.append({})).error() == std::errc::invalid_argument);
  assert_int_equal((co_await reader.take())->lsn, *first);
  auto record = co_await reader.take();
  assert_int_equal(record->lsn, *second);
  assert_memory_equal(record->bytes.data(), "second", 6);
  assert_none(co_await reader.close());
  assert_none(log.cut(*first));
  co_return true;
}

static uvdio::task<bool> logs(uvdio::engine& engine) {
  uvdio_log_options_t options{};
  options.segment_size = 1 << 20;
  replay seen;
  auto on_record = [&seen](std::uint64_t lsn, std::span<const std::byte> record) {
    assert_true(lsn > seen.last && record.size() >= 5);
    seen.last = lsn;
    seen.count++;
  };
  uvdio::log log;
  if (backend != UVDIO_BACKEND_MEMORY) { /* whose names are not in directories */
    auto missing = co_await log.open(engine, "cxx.missing", options, on_record);
    assert_true(missing == std::errc::no_such_file_or_directory);
    assert_null(log.raw());
  }
  assert_none(co_await log.open(engine, other_path, options, on_record));
  assert_true(co_await log.open(engine, other_path, options, on_record) ==
              std::errc::device_or_resource_busy);
  assert_true(co_await append_some(log));
  assert_none(co_await log.close());
  assert_int_equal(seen.count, 0);
  assert_none(co_await log.open(engine, other_path, options, on_record));
  assert_int_equal(seen.count, 2);
  co_return !co_await log.close();
}

static uvdio::task<bool> make_directory(uvdio::engine& engine) {
  co_return !co_await uvdio::call([&engine](uvdio_req_t* req, uvdio_cb cb) {
    return uvdio_mkdir(engine.raw(), req, other_path, 0700, cb);
  });
}

static void remove_log() {
  char name[160];
  (void)std::snprintf(name, sizeof(name), "rm -rf %s", other_path);
  assert_int_equal(std::system(name), 0);
}

static void records_are_awaited(void**) {
  world here;
  here.run(make_directory(here.engine));
  here.run(logs(here.engine));
  remove_log();
}

static uvdio::task<bool> open_both(uvdio::engine& engine, uvdio::log& log,
                                   uvdio::log_reader& reader) {
  auto ignore = [](std::uint64_t, auto) {};
  static const std::array<std::byte, 40000> record{};
  uvdio_log_options_t options{};
  options.segment_size = 65536;
  assert_none(co_await log.open(engine, other_path, options, ignore));
  for (int i = 0; i < 4; i++) {
    assert_true((co_await log.append(record)).has_value());
  }
  assert_none(co_await log.close());
  assert_none(co_await log.open(engine, other_path, options, ignore));
  reader = std::move(*uvdio::log_reader::create(log)); /* which opens files of segments */
  co_return (co_await reader.take()).has_value();
}

template <class Owner>
static uvdio::task<int> close_of(Owner& owner) {
  std::error_code error = co_await owner.close();
  co_return error.value();
}

/* The engine's close comes before the ends of the log's and its reader's, which leave them to their
 * owners. */
static void log_outlives_its_engine(void**) {
  std::size_t before = uvdio_allocations();
  {
    world here;
    here.run(make_directory(here.engine));
    uvdio::log log;
    uvdio::log_reader reader;
    here.run(open_both(here.engine, log, reader));
    int log_status = 0;
    int reader_status = 0;
    uvdio::start(close_of(reader), [&](int status) { reader_status = status; });
    uvdio::start(close_of(log), [&](int status) { log_status = status; });
    here.engine = uvdio::engine();
    uv_run(&here.loop, UV_RUN_DEFAULT);
    assert_int_equal(reader_status, UV_EBADF);
    assert_non_null(reader.raw());
    reader = uvdio::log_reader(); /* for which the log has waited */
    uv_run(&here.loop, UV_RUN_DEFAULT);
    assert_int_equal(log_status, UV_EBADF);
    assert_non_null(log.raw());
  }
  assert_int_equal(uvdio_allocations(), before);
  remove_log();
}

static uvdio::task<bool> many_reads(uvdio::engine& engine) {
  uvdio::file file;
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  auto back = std::move((co_await file.write(page('a'), 0)).buf);
  std::size_t before = allocations;
  for (int i = 0; i < 1000; i++) {
    auto read = co_await file.read(std::move(back), 0);
    assert_int_equal(*read.bytes, 4096);
    back = std::move(read.buf);
  }
  assert_int_equal(allocations, before);
  co_return true; /* the file closes itself */
}

static void an_operation_allocates_nothing(void**) {
  world here;
  here.run(many_reads(here.engine));
}

static uvdio::task<int> immediate(int value) {
  co_return value;
}

static uvdio::task<bool> many_tasks() {
  int sum = 0;
  for (int i = 0; i < 100000; i++) {
    sum += co_await immediate(1);
  }
  co_return sum == 100000;
}

static void tasks_take_no_stack(void**) {
  world here;
  here.run(many_tasks());
}

static uvdio::arena arena_of_one_frame() {
  uvdio_arena_options_t options{};
  options.frame_count = 1;
  return std::move(*uvdio::arena::create(options));
}

static uvdio::task<bool> frames(uvdio::engine& engine, uvdio::arena& arena) {
  auto first = arena.acquire();
  assert_true(first.has_value());
  assert_int_equal(arena.acquire().error().value(), UV_ENOBUFS);
  auto second = arena.wait(engine);
  bool is_cancelled = false;
  /* a temporary that captures nothing lives in its coroutine */
  uvdio::start(
      [](decltype(second)& waited) -> uvdio::task<bool> {
        auto frame = co_await waited;
        co_return !frame && frame.error() == std::errc::operation_canceled;
      }(second),
      [&](bool passed) { is_cancelled = passed; });
  assert_none(second.cancel());
  auto third = arena.wait(engine);
  char* memory = first->data();
  first->reset();
  auto frame = co_await third;
  assert_true(is_cancelled);
  assert_ptr_equal(frame->data(), memory);
  co_return frame->capacity() == 4096 && second.cancel().value() == UV_EINVAL;
}

/* Frames that another thread releases between the bytes that found none and the wait for one. */
struct meanwhile {
  uvdio::writer::writing writing;
  uvdio::buffer& held;
  bool await_ready() noexcept {
    bool is_ready = writing.await_ready();
    held.reset();
    return is_ready;
  }
  bool await_suspend(std::coroutine_handle<> waiter) noexcept {
    return writing.await_suspend(waiter);
  }
  std::error_code await_resume() noexcept {
    return writing.await_resume();
  }
};

static uvdio::task<bool> write_meanwhile(uvdio::engine& engine, uvdio::arena& arena) {
  uvdio::file file;
  assert_none(co_await file.open(engine, path, UVDIO_OPEN_CREATE));
  auto writer = std::move(*uvdio::writer::create(file, arena));
  auto held = std::move(*arena.acquire());
  assert_none(co_await meanwhile{writer.write(bytes_of("some bytes")), held});
  assert_int_equal(*writer.end(), 10);
  assert_none(co_await writer.close());
  co_return *(co_await file.size()) == 10;
}

static void frames_may_come_from_other_threads(void**) {
  world here;
  uvdio::arena arena = arena_of_one_frame();
  here.run(write_meanwhile(here.engine, arena));
}

static void frames_are_waited_for(void**) {
  world here;
  uvdio::arena arena = arena_of_one_frame();
  here.run(frames(here.engine, arena));
  uvdio_arena_options_t options{};
  options.frame_count = 0;
  assert_true(uvdio::arena::create(options).error() == UVDIO_ESIZE);
}

static uvdio::task<bool> close_engine(uvdio::engine& engine) {
  assert_none(co_await engine.close());
  assert_null(engine.raw());
  auto again = co_await engine.close();
  co_return again.value() == UV_EINVAL;
}

static void engine_is_closed_and_awaited(void**) {
  world here;
  here.run(close_engine(here.engine));
}

static uvdio::task<bool> other_operations(uvdio::engine& engine) {
  uvdio_req_t req{};
  assert_none(co_await uvdio::call([&](uvdio_req_t* own, uvdio_cb cb) {
    return uvdio_rename(engine.raw(), own, path, other_path, 0, cb);
  }));
  auto again = co_await uvdio::call([&](uvdio_req_t* own, uvdio_cb cb) {
    return uvdio_rename(engine.raw(), own, path, other_path, 0, cb);
  });
  assert_true(again == std::errc::no_such_file_or_directory);
  co_return uvdio_rename(engine.raw(), &req, other_path, path, 0, nullptr) == 0;
}

static void every_operation_can_be_awaited(void**) {
  world here;
  here.run(round_trip(here.engine));
  here.run(other_operations(here.engine));
}

static void buffers_have_one_owner(void**) {
  uvdio::buffer first = page('x');
  char* memory = first.data();
  uvdio::buffer second = std::move(first);
  assert_false(static_cast<bool>(first));
  assert_ptr_equal(second.data(), memory);
  second = page('y');
  assert_int_equal(second.bytes()[0], 'y');
  uvdio_buf_t raw = second.release();
  assert_false(static_cast<bool>(second));
  assert_int_equal(uvdio_buf_release(&raw), 0);
  assert_int_equal(uvdio::buffer::allocate(0).error().value(), UVDIO_ESIZE);
  uvdio::buffer third = std::move(*uvdio::buffer::allocate(1));
  const std::byte more[3] = {};
  assert_none(third.append(more));
  assert_int_equal(third.size(), 3);
  assert_true(third.resize(1 << 20) == UVDIO_EOFFSET);
}

static uvdio::task<bool> wait_for_ever(uvdio::engine& engine, uvdio::arena& arena) {
  co_return (co_await arena.wait(engine)).has_value();
}

/* Destroys a coroutine that waits. */
static void destroy_early() {
  world here;
  uvdio::arena arena = arena_of_one_frame();
  auto frame = arena.acquire();
  auto wait = std::make_unique<uvdio::task<bool>>(wait_for_ever(here.engine, arena));
  assert_true(wait->await_suspend(std::noop_coroutine()));
  wait.reset();
}

static void open_now(uvdio::engine& engine, uvdio::file& file) {
  uvdio_req_t req{};
  assert_int_equal(
      uvdio_open(engine.raw(), file.raw(), &req, path, UVDIO_OPEN_CREATE, 0600, nullptr), 0);
}

/* A file goes, and its close is pending. */
static void destroy_file() {
  world here;
  uvdio_req_t req{};
  uvdio::file file;
  open_now(here.engine, file);
  if (uvdio_close(file.raw(), &req, [](uvdio_req_t*, std::int64_t) {}) != 0) {
    _exit(1);
  }
}

static void destroy_arena() {
  uvdio::arena arena = arena_of_one_frame();
  auto frame = arena.acquire();
  arena = uvdio::arena();
}

/* By these words: one mistake leads to others, which end the program as well. */
static void assert_aborts(void (*mistake)(), const char* words) {
  char text[1024];
  int ends[2];
  int status = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    if (dup2(ends[1], STDERR_FILENO) != STDERR_FILENO) {
      _exit(1);
    }
    mistake();
    _exit(0);
  }
  assert_int_equal(close(ends[1]), 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  ssize_t length = read(ends[0], text, sizeof(text) - 1);
  assert_true(length >= 0);
  text[length] = '\0';
  assert_int_equal(close(ends[0]), 0);
  assert_non_null(std::strstr(text, words));
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* A coroutine goes that awaits the end of its engine. */
static uvdio::task<bool> wait_for_the_close(uvdio::engine& engine) {
  co_return !co_await engine.close();
}

static void destroy_while_closing() {
  world here;
  auto wait = std::make_unique<uvdio::task<bool>>(wait_for_the_close(here.engine));
  assert_true(wait->await_suspend(std::noop_coroutine()));
  wait.reset();
}

static void await_a_task_twice() {
  auto task = immediate(1);
  (void)task.await_suspend(std::noop_coroutine());
  (void)task.await_suspend(std::noop_coroutine());
}

/* A file goes that an open of uvdio.h has for its own. */
static void destroy_opening_file() {
  world here;
  uvdio_req_t req{};
  uvdio::file file;
  if (uvdio_open(here.engine.raw(), file.raw(), &req, path, UVDIO_OPEN_CREATE, 0600,
                 [](uvdio_req_t*, std::int64_t) {}) != 0) {
    _exit(1);
  }
}

/* One operation, and two who wait for it. */
static void await_an_operation_twice() {
  world here;
  uvdio::arena arena = arena_of_one_frame();
  auto frame = arena.acquire();
  auto wait = arena.wait(here.engine);
  (void)wait.await_suspend(std::noop_coroutine());
  (void)wait.await_suspend(std::noop_coroutine());
}

/* The same of an engine's end, which comes. */
static void await_a_close_twice() {
  world here;
  auto close = here.engine.close();
  (void)close.await_suspend(std::noop_coroutine());
  (void)close.await_suspend(std::noop_coroutine());
  uv_run(&here.loop, UV_RUN_DEFAULT);
}

/* An engine goes whose close was begun by uvdio.h. */
static void destroy_closing_engine() {
  world here;
  if (uvdio_engine_close(here.engine.raw(), nullptr) == 0) {
    here.engine = uvdio::engine();
  }
}

/* A file goes in a forked child, whose copy of the engine has it. */
static void destroy_reader_early() {
  world here;
  uvdio::file file;
  uvdio_arena_options_t options{};
  options.frame_size = FRAME;
  options.frame_count = 4;
  auto frames = uvdio::arena::create(options);
  open_now(here.engine, file);
  auto reader = uvdio::reader::create(file, *frames);
  uvdio_block_t block;
  assert_int_equal(uvdio_reader_take(reader->raw(), &block), UV_EAGAIN);
  *reader = uvdio::reader();
}

static uvdio::task<bool> open_and_leave(uvdio::engine& engine) {
  uvdio::log log;
  assert_none(co_await log.open(engine, ".", {}, [](std::uint64_t, auto) {}));
  co_return true; /* the log is destroyed, and open */
}

static void destroy_open_log() {
  world here;
  if (mkdir(other_path, 0700) != 0 || chdir(other_path) != 0) {
    return;
  }
  here.run(open_and_leave(here.engine));
}

static void destroy_file_in_a_child() {
  world here;
  uvdio::file file;
  int status = 0;
  open_now(here.engine, file);
  pid_t child = fork();
  if (child != 0) {
    bool has_aborted = waitpid(child, &status, 0) == child && WIFSIGNALED(status);
    has_aborted ? std::abort() : _exit(1);
  }
}

static void a_child_closes_its_engine_before_files_go(void**) {
  world here;
  uvdio::file file;
  int status = 0;
  open_now(here.engine, file);
  pid_t child = fork();
  if (child == 0) {
    if (uv_loop_fork(&here.loop) != 0) {
      _exit(1);
    }
    here.engine = uvdio::engine();
    uv_run(&here.loop, UV_RUN_DEFAULT);
    file.~file();
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

bool refuse_in_other_version(uv_loop_t* loop, std::error_code* error);

/* Results are of another kind there; errors are the same. */
static void versions_of_the_language_agree(void**) {
  uv_loop_t loop;
  uvdio_engine_options_t options{};
  std::error_code other;
  options.depth = UVDIO_DEPTH_MAX + 1;
  assert_int_equal(uv_loop_init(&loop), 0);
  auto made = uvdio::engine::create(&loop, options);
  assert_false(made.has_value());
  assert_false(refuse_in_other_version(&loop, &other));
  assert_true(other == made.error());
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void memory_in_use_is_not_freed(void**) {
  assert_aborts(destroy_early, "an operation was destroyed");
  assert_aborts(destroy_file, "a file was destroyed");
  assert_aborts(destroy_arena, "an arena was destroyed");
  assert_aborts(destroy_while_closing, "an operation was destroyed");
  assert_aborts(destroy_opening_file, "a file was destroyed");
  assert_aborts(await_a_task_twice, "a task was awaited twice");
  assert_aborts(await_an_operation_twice, "awaited by two");
  assert_aborts(await_a_close_twice, "awaited by two");
  assert_aborts(destroy_closing_engine, "it is closing already");
  assert_aborts(destroy_reader_early, "a reader was destroyed");
  assert_aborts(destroy_open_log, "a log was destroyed");
  remove_log();
  assert_aborts(destroy_file_in_a_child, "a file was destroyed");
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } backends[] = {{"ring", UVDIO_BACKEND_RING},
                  {"aio", UVDIO_BACKEND_AIO},
                  {"pool", UVDIO_BACKEND_POOL},
                  {"memory", UVDIO_BACKEND_MEMORY}};
  const CMUnitTest tests[] = {
      cmocka_unit_test(bytes_go_there_and_come_back),
      cmocka_unit_test(errors_are_told_and_buffers_come_back),
      cmocka_unit_test(buffers_go_there_together),
      cmocka_unit_test(streams_are_awaited),
      cmocka_unit_test(records_are_awaited),
      cmocka_unit_test(log_outlives_its_engine),
      cmocka_unit_test(an_operation_allocates_nothing),
      cmocka_unit_test(tasks_take_no_stack),
      cmocka_unit_test(frames_are_waited_for),
      cmocka_unit_test(frames_may_come_from_other_threads),
      cmocka_unit_test(engine_is_closed_and_awaited),
      cmocka_unit_test(every_operation_can_be_awaited),
      cmocka_unit_test(buffers_have_one_owner),
      cmocka_unit_test(versions_of_the_language_agree),
      cmocka_unit_test(memory_in_use_is_not_freed),
      cmocka_unit_test(a_child_closes_its_engine_before_files_go),
  };
  char reason[256];
  (void)std::snprintf(path, sizeof(path), "cxx.%ld", static_cast<long>(getpid()));
  (void)std::snprintf(other_path, sizeof(other_path), "%s.renamed", path);
  for (const auto& known : backends) {
    if (argc == 2 && std::strcmp(argv[1], known.name) == 0) {
      backend = known.backend;
      if (uvdio_backend_probe(backend, reason, sizeof(reason)) != 0) {
        std::printf("SKIP: no %s here: %s\n", known.name, reason);
        return 77;
      }
      int failed = cmocka_run_group_tests(tests, nullptr, nullptr);
      (void)unlink(path);
      return failed;
    }
  }
  std::fprintf(stderr, "usage: test_cxx ring|aio|pool|memory\n");
  return 2;
}
