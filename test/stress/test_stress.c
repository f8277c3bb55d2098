/* SPDX-License-Identifier: MIT */
/*
 * Much at once: tens of thousands of requests, cancellations among them, closes at every point,
 * signals, forks, thousands of files, threads that release frames, loops that are stopped. The
 * tracker and the fixture see to one callback each and to nothing being left; the content is looked
 * at here. Sizes are what the sanitizer in use can bear.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

#include "child.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define PAGES 256u /* of the file; page i holds pattern i, whoever writes it */
#define FRAMES 2048u
#define LIFE 60u /* requests of one life that is cut short */
#define POINTS 24u
#define FORKS 20u
#define THREADS 4u
#define TURN_SHARE 64u

static unsigned scaled(unsigned size) {
  unsigned share = under_valgrind() ? 100 : UNDER_TSAN ? 20 : UNDER_ASAN ? 5 : 1;
  return size / share + 1;
}

/*
 * Pages, from memory that all writes share, into frames.
 */

static char* patterns;

static void make_patterns(void) {
  patterns = system_aligned_alloc(PAGE, (size_t)PAGES * PAGE);
  for (unsigned i = 0; i < PAGES; i++) {
    fill_pattern(patterns + (size_t)i * PAGE, PAGE, i);
  }
}

static struct tracked_op* write_page(struct fixture* f, struct tracked_op* op, unsigned page) {
  uvdio_buf_t view = uvdio_buf_view_bytes(patterns + (size_t)page * PAGE, PAGE);
  return t_write(op, &f->file, &view, (uint64_t)page * PAGE);
}

static void check_and_release(struct tracked_op* op) {
  uvdio_buf_t buf = op_take(op);
  unsigned page = (unsigned)(op->req.offset_ / PAGE);
  if (op->result == PAGE && !is_pattern(buf.base, PAGE, page)) {
    tracker_violation(op->tracker, "page %u: other bytes than the file's", page);
  }
  if (op->result != PAGE && op->result != UV_ECANCELED) {
    tracker_violation(op->tracker, "a read gave %lld", (long long)op->result);
  }
  uvdio_buf_release(&buf);
}

/* Reads into a frame, which goes back when it has been looked at; 0 where none is free. */
static struct tracked_op* read_page(struct fixture* f, unsigned page) {
  uvdio_buf_t frame;
  if (uvdio_arena_acquire(f->arena, &frame) != 0) {
    return NULL;
  }
  struct tracked_op* op = op_then(&f->tracker, check_and_release, NULL);
  return t_read(op, &f->file, &frame, (uint64_t)page * PAGE);
}

/* A request of any kind; the i-th is always the same. */
static struct tracked_op* any_request(struct fixture* f, unsigned i) {
  struct tracked_op* op = NULL;
  if (i % 97 == 96) {
    return t_sync_data(op_new(&f->tracker), &f->file);
  }
  if (i % 31 == 30) {
    return t_size(op_new(&f->tracker), &f->file);
  }
  if (i % 37 == 36) {
    return t_stat(op_new(&f->tracker), &f->file);
  }
  if (i % 4 == 0) {
    op = read_page(f, i * 7 % PAGES);
  }
  return op != NULL ? op : write_page(f, op_new(&f->tracker), i * 13 % PAGES);
}

static int is_right(const struct tracked_op* op) {
  switch (op->kind) {
    case UVDIO_OP_SIZE:
      return op->result == (int64_t)PAGES * PAGE;
    case UVDIO_OP_READ:
      return op->result == PAGE;
    case UVDIO_OP_WRITE:
      return op->result == (int64_t)op->sent.len;
    default:
      return op->result == 0;
  }
}

/* Every request was right, or cancelled where that was asked for. */
static void assert_all_right(struct fixture* f, int some_cancelled) {
  for (const struct tracked_op* op = f->tracker.ops; op != NULL; op = op->next) {
    if (op->accepted > 0 && !is_right(op) && !(some_cancelled && op->result == UV_ECANCELED)) {
      fail_msg("%s gave %lld", uvdio_op_name(op->kind), (long long)op->result);
    }
  }
}

static void assert_content(struct fixture* f) {
  for (unsigned i = 0; i < PAGES; i++) {
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
}

static void open_with_content(struct fixture* f) {
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  uvdio_buf_t all = uvdio_buf_view_bytes(patterns, (size_t)PAGES * PAGE);
  assert_result(t_write(op_now(&f->tracker), &f->file, &all, 0), (int64_t)PAGES * PAGE);
}

static int scene(void** state, unsigned depth) {
  uvdio_engine_options_t options = matrix_options();
  options.depth = depth;
  int failed = fixture_engine_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    open_with_content(f);
    fixture_arena(f, PAGE, FRAMES);
  }
  return failed;
}

static int shallow(void** state) {
  return scene(state, 32);
}

static int deep(void** state) {
  return scene(state, under_valgrind() ? 256 : 4096);
}

/*
 * Requests and cancellations.
 */

static void fifty_thousand_requests_at_once(void** state) {
  struct fixture* f = *state;
  unsigned count = scaled(50000);
  for (unsigned i = 0; i < count; i++) {
    assert_accepted(any_request(f, i));
  }
  assert_int_equal(stats_of(f).pending, count);
  run(f);
  assert_all_right(f, 0);
  assert_content(f);
}

struct cancellations {
  struct fixture* f;
  uv_idle_t idle;
  unsigned left;
};

/* Whatever is newest among the living gets cancelled, a few in each turn. */
static void cancel_some(uv_idle_t* idle) {
  struct cancellations* cancellations = idle->data;
  unsigned some = TURN_SHARE;
  for (struct tracked_op* op = cancellations->f->tracker.ops; op != NULL && some > 0;
       op = op->next) {
    if (op->done < op->accepted && !op->blocking && op->data != cancellations) {
      int code = t_cancel(op);
      op->data = cancellations;
      some--;
      if (code != 0 && code != UV_EBUSY) {
        tracker_violation(&cancellations->f->tracker, "uvdio_cancel: %s", uvdio_err_name(code));
      }
    }
  }
  if (some == TURN_SHARE) {
    uv_close((uv_handle_t*)idle, NULL);
  }
}

static void half_of_them_is_cancelled_at_once(void** state) {
  struct fixture* f = *state;
  unsigned count = scaled(10000);
  for (unsigned i = 0; i < count; i++) {
    struct tracked_op* op = any_request(f, i);
    int code = i % 2 ? t_cancel(op) : 0;
    assert_true(code == 0 || code == UV_EBUSY);
  }
  run(f);
  assert_all_right(f, 1);
  assert_content(f);
}

static void all_are_cancelled_turn_by_turn(void** state) {
  struct fixture* f = *state;
  struct cancellations cancellations = {.f = f};
  unsigned count = scaled(2000);
  for (unsigned i = 0; i < count; i++) {
    assert_accepted(any_request(f, i));
  }
  assert_int_equal(uv_idle_init(&f->loop, &cancellations.idle), 0);
  cancellations.idle.data = &cancellations;
  assert_int_equal(uv_idle_start(&cancellations.idle, cancel_some), 0);
  run(f);
  assert_all_right(f, 1);
  assert_content(f);
}

/*
 * Closes, after none, one, two ... turns of the loop.
 */

static void submit_life(struct fixture* f) {
  for (unsigned i = 0; i < LIFE; i++) {
    assert_accepted(any_request(f, i * 5));
  }
}

static void turn(struct fixture* f, unsigned times) {
  watch_for_hang("a turn of the loop");
  for (unsigned i = 0; i < times; i++) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  watch_for_hang(NULL);
}

static void file_is_closed_at_every_point(void** state) {
  struct fixture* f = *state;
  for (unsigned point = 0; point < POINTS; point++) {
    submit_life(f);
    turn(f, point);
    struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
    assert_accepted(close);
    run(f);
    assert_result(close, 0);
    assert_all_right(f, 0);
    open_with_content(f);
  }
  assert_content(f);
}

static void engine_is_closed_at_every_point(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {.depth = 16};
  for (unsigned point = 0; point < POINTS; point++) {
    submit_life(f);
    turn(f, point);
    end_engine(f);
    assert_all_right(f, 0);
    tracker_verdict(&f->tracker);
    memset(&f->file, 0, sizeof(f->file));
    start_engine(f, options);
    tracker_finish(&f->tracker);
    tracker_init(&f->tracker); /* counts begin anew with the engine's */
    open_with_content(f);
  }
  assert_content(f);
}

/*
 * Signals, and forks.
 */

#ifndef _WIN32
static atomic_uint signals_seen;
static atomic_int signals_on;

static void count_signal(int number) {
  int before = errno;
  (void)number;
  atomic_fetch_add(&signals_seen, 1);
  errno = before;
}

static void* send_signals(void* target) {
  while (atomic_load(&signals_on)) {
    pthread_kill(*(pthread_t*)target, SIGUSR1);
    kill(getpid(), SIGUSR2); /* to whichever thread takes it */
    usleep(20);
  }
  return NULL;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART: calls are interrupted */
  assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
  assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
}

static void signals_at_a_high_rate_change_nothing(void** state) {
  struct fixture* f = *state;
  pthread_t self = pthread_self();
  pthread_t sender;
  unsigned count = scaled(10000);
  catch_signals();
  atomic_store(&signals_seen, 0);
  atomic_store(&signals_on, 1);
  assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
  watch_for_hang("no signal comes");
  while (atomic_load(&signals_seen) == 0) {
  }
  watch_for_hang(NULL);
  for (unsigned i = 0; i < count; i++) {
    any_request(f, i);
  }
  watch_for_hang("a loop that gets signals");
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
  atomic_store(&signals_on, 0);
  pthread_join(sender, NULL);
  assert_true(atomic_load(&signals_seen) > 0);
  assert_all_right(f, 0);
  assert_content(f);
}

static int be_refused(void* data) {
  struct fixture* f = data;
  uvdio_req_t req = {0};
  uvdio_buf_t page = uvdio_buf_view_bytes(patterns, PAGE);
  EXPECT(uvdio_size(&f->file, &req, NULL) == UVDIO_EFORK);
  EXPECT(uvdio_write(&f->file, &req, &page, 0, NULL) == UVDIO_EFORK);
  return 0;
}

static void forks_in_the_middle_change_nothing(void** state) {
  struct fixture* f = *state;
  unsigned count = scaled(4000);
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
  for (unsigned i = 0; i < count; i++) {
    assert_accepted(any_request(f, i));
  }
  for (unsigned i = 0; i < FORKS; i++) {
    assert_int_equal(in_a_child(be_refused, f), 0);
    turn(f, 1);
  }
  run(f);
  assert_all_right(f, 0);
  assert_content(f);
}
#endif

/*
 * Files.
 */

#ifdef _WIN32
static unsigned files_allowed(unsigned wanted) {
  return wanted;
}
#else
static unsigned files_allowed(unsigned wanted) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit.rlim_cur - 100 < wanted ? (unsigned)limit.rlim_cur - 100 : wanted;
}
#endif

static void write_into(struct fixture* f, uvdio_file_t* file, unsigned i) {
  uvdio_buf_t view = uvdio_buf_view_bytes(patterns + (size_t)(i % PAGES) * PAGE, PAGE);
  assert_accepted(t_write(op_new(&f->tracker), file, &view, 0));
}

static void thousands_of_files(void** state) {
  struct fixture* f = *state;
  unsigned count = files_allowed(scaled(3000));
  uvdio_file_t* files = calloc(count, sizeof(*files));
  char name[32];
  for (unsigned i = 0; i < count; i++) {
    snprintf(name, sizeof(name), "file-%u", i);
    assert_accepted(
        t_open(op_new(&f->tracker), f->engine, &files[i], path_of(f, name), UVDIO_OPEN_RW));
  }
  run(f);
  assert_all_right(f, 0);
  for (unsigned i = 0; i < count; i++) {
    write_into(f, &files[i], i);
  }
  run(f);
  for (unsigned i = 0; i < count; i++) {
    assert_holds(f, &files[i], 0, PAGE, i % PAGES);
    assert_accepted(t_close(op_new(&f->tracker), &files[i]));
  }
  run(f);
  assert_all_right(f, 0);
  free(files);
}

/*
 * Threads that release what the loop's thread reads.
 */

struct releasers {
  struct fixture* f;
  uv_mutex_t lock;
  uv_cond_t changed;
  uvdio_buf_t frames[FRAMES];
  unsigned count;
  int over;
  unsigned failed;
  unsigned left; /* reads to submit */
  uv_idle_t idle;
};

static void release_frames(void* data) {
  struct releasers* all = data;
  uv_mutex_lock(&all->lock);
  while (all->count > 0 || !all->over) {
    if (all->count == 0) {
      uv_cond_wait(&all->changed, &all->lock);
      continue;
    }
    uvdio_buf_t frame = all->frames[--all->count];
    uv_mutex_unlock(&all->lock);
    int wrong = uvdio_buf_release(&frame) != 0;
    uv_mutex_lock(&all->lock);
    all->failed += (unsigned)wrong;
  }
  uv_mutex_unlock(&all->lock);
}

static void hand_over(struct tracked_op* op) {
  struct releasers* all = op->data;
  uv_mutex_lock(&all->lock);
  all->frames[all->count++] = op_take(op);
  uv_cond_signal(&all->changed);
  uv_mutex_unlock(&all->lock);
  op_free(op);
}

/* As long as frames come back there is something to read. */
static void read_more(uv_idle_t* idle) {
  struct releasers* all = idle->data;
  uvdio_buf_t frame;
  while (all->left > 0 && uvdio_arena_acquire(all->f->arena, &frame) == 0) {
    struct tracked_op* op = op_then(&all->f->tracker, hand_over, all);
    t_read(op, &all->f->file, &frame, (uint64_t)(--all->left % PAGES) * PAGE);
  }
  if (all->left == 0) {
    uv_close((uv_handle_t*)idle, NULL);
  }
}

static void threads_release_the_frames(void** state) {
  struct fixture* f = *state;
  struct releasers* all = calloc(1, sizeof(*all));
  uv_thread_t threads[THREADS];
  all->f = f;
  all->left = scaled(20000);
  assert_int_equal(uv_mutex_init(&all->lock) || uv_cond_init(&all->changed), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    assert_int_equal(uv_thread_create(&threads[i], release_frames, all), 0);
  }
  assert_int_equal(uv_idle_init(&f->loop, &all->idle), 0);
  all->idle.data = all;
  assert_int_equal(uv_idle_start(&all->idle, read_more), 0);
  run(f);
  uv_mutex_lock(&all->lock);
  all->over = 1;
  uv_cond_broadcast(&all->changed);
  uv_mutex_unlock(&all->lock);
  for (unsigned i = 0; i < THREADS; i++) {
    uv_thread_join(&threads[i]);
  }
  unsigned failed = all->failed;
  uv_cond_destroy(&all->changed);
  uv_mutex_destroy(&all->lock);
  free(all);
  assert_int_equal(failed, 0);
}

/*
 * Loops.
 */

static void stop_the_loop(struct tracked_op* op) {
  uv_stop(uvdio_engine_loop(op->data));
}

static void loop_is_stopped_and_started(void** state) {
  struct fixture* f = *state;
  const uv_run_mode modes[] = {UV_RUN_DEFAULT, UV_RUN_ONCE, UV_RUN_NOWAIT};
  unsigned count = 1000 + scaled(3000); /* more than one turn's callbacks */
  unsigned runs = 0;
  for (unsigned i = 0; i < count; i++) {
    write_page(f, op_then(&f->tracker, i % 5 ? NULL : stop_the_loop, f->engine), i % PAGES);
  }
  watch_for_hang("a loop that is stopped");
  while (uv_run(&f->loop, modes[runs % COUNT_OF(modes)]) != 0) {
    runs++;
  }
  watch_for_hang(NULL);
  assert_true(runs > 0);
  assert_all_right(f, 0);
  assert_content(f);
}

/* Each thread makes a loop, an engine and a file, works, and gives all back, again and again. */
struct worker {
  uv_thread_t thread;
  char path[FILESYSTEM_PATH_MAX + 64];
  unsigned rounds;
  const char* failed;
};

static void on_worker_io(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct worker* worker = req->data;
  (void)buf;
  worker->failed = result == PAGE ? worker->failed : "a write";
}

static const char* one_round(struct worker* worker) {
  uvdio_engine_options_t options = matrix_options();
  uvdio_req_t open = {0};
  uvdio_req_t writes[16] = {{0}};
  uvdio_file_t file = {0};
  uv_loop_t loop;
  uvdio_engine_t* engine;
  if (uv_loop_init(&loop) != 0 || uvdio_engine_create(&engine, &loop, &options) != 0) {
    return "set-up";
  }
  if (uvdio_open(engine, &file, &open, worker->path, UVDIO_OPEN_RW, 0600, NULL) != 0) {
    return "uvdio_open";
  }
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    uvdio_buf_t view = uvdio_buf_view_bytes(patterns + (size_t)i * PAGE, PAGE);
    writes[i].data = worker;
    if (uvdio_write(&file, &writes[i], &view, (uint64_t)i * PAGE, on_worker_io) != 0) {
      return "uvdio_write";
    }
  }
  (void)uv_run(&loop, UV_RUN_NOWAIT);
  if (uvdio_engine_close(engine, NULL) != 0 || uv_run(&loop, UV_RUN_DEFAULT) != 0) {
    return "close";
  }
  return uv_loop_close(&loop) == 0 ? NULL : "uv_loop_close";
}

static void work(void* data) {
  struct worker* worker = data;
  for (unsigned i = 0; i < worker->rounds && worker->failed == NULL; i++) {
    const char* failed = one_round(worker);
    worker->failed = failed != NULL ? failed : worker->failed;
  }
}

static void loops_come_and_go_on_several_threads(void** state) {
  struct fixture* f = *state;
  static struct worker workers[THREADS];
  char name[32];
#ifndef _WIN32
  if (!on_memory() && matrix.backend == UVDIO_BACKEND_RING && geteuid() != 0) {
    SKIP("without root the limit on locked memory decides");
  }
#endif
  memset(workers, 0, sizeof(workers));
  watch_for_hang("loops on several threads");
  for (unsigned i = 0; i < THREADS; i++) {
    snprintf(name, sizeof(name), "thread-%u", i);
    snprintf(workers[i].path, sizeof(workers[i].path), "%s", path_of(f, name));
    workers[i].rounds = scaled(200);
    assert_int_equal(uv_thread_create(&workers[i].thread, work, &workers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    uv_thread_join(&workers[i].thread);
  }
  watch_for_hang(NULL);
  for (unsigned i = 0; i < THREADS; i++) {
    assert_null(workers[i].failed);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(deep, fifty_thousand_requests_at_once),
      TEST_ON(shallow, half_of_them_is_cancelled_at_once),
      TEST_ON(shallow, all_are_cancelled_turn_by_turn),
      TEST_ON(shallow, file_is_closed_at_every_point),
      TEST_ON(shallow, engine_is_closed_at_every_point),
#ifndef _WIN32
      TEST_ON(deep, signals_at_a_high_rate_change_nothing),
      TEST_ON(shallow, forks_in_the_middle_change_nothing),
#endif
      TEST_ON(shallow, thousands_of_files),
      TEST_ON(shallow, threads_release_the_frames),
      TEST_ON(shallow, loop_is_stopped_and_started),
      TEST_ON(fixture_loop, loops_come_and_go_on_several_threads),
  };
  make_patterns();
  int failed = matrix_main("stress", tests, COUNT_OF(tests), argc, argv);
  system_aligned_free(patterns);
  return failed;
}
