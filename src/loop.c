/* SPDX-License-Identifier: MIT */
/*
 * See loop.h. Wake-ups, too, are made here, for backends and for everything above: an idle handle
 * that is active keeps libuv from blocking, costs no system call, and is stopped by the next
 * iteration that leaves nothing to do.
 */
#include "loop.h"

#include "engine.h"
#include "metrics.h"

void uvdio__loop_attach(uvdio_engine_t* engine, const uvdio__loop_hooks_t* hooks) {
  engine->hooks = hooks;
  (void)uv_idle_init(engine->loop, &engine->idle);
  (void)uv_check_init(engine->loop, &engine->check);
  (void)uv_check_start(&engine->check, hooks->on_check);
  uv_unref((uv_handle_t*)&engine->check);
  (void)uv_prepare_init(engine->loop, &engine->prepare);
  (void)uv_prepare_start(&engine->prepare, hooks->on_prepare);
  uv_unref((uv_handle_t*)&engine->prepare);
}

static void set_held(uvdio_engine_t* engine, int is_held) {
  engine->loop_ref_held = is_held;
  uvdio__engine_set_plain_accept(engine);
}

void uvdio__loop_let_go(uvdio_engine_t* engine) {
  if (engine->loop_ref_held) {
    uv_unref((uv_handle_t*)&engine->check);
    set_held(engine, 0);
  }
}

void uvdio__loop_note_accept(uvdio_engine_t* engine, uvdio_req_t* req) {
  if (!engine->loop_ref_held) {
    uv_ref((uv_handle_t*)&engine->check);
    set_held(engine, 1);
  }
  uvdio__metrics_accept(req);
}

/*
 * Signals of other threads
 */

int uvdio__loop_listen(uvdio_engine_t* engine) {
  int error;

  if (engine->has_signal) {
    return 0;
  }
  if (engine->loop_state != LOOP_ATTACHED) {
    return UV_EBADF;
  }
  error = uv_mutex_init(&engine->signal_mutex);
  if (error != 0) {
    return error;
  }
  error = uv_async_init(engine->loop, &engine->signal, engine->hooks->on_signal);
  if (error != 0) {
    uv_mutex_destroy(&engine->signal_mutex);
    return error;
  }
  uv_unref((uv_handle_t*)&engine->signal);
  engine->has_signal = 1;
  engine->is_signal_open = 1;
  return 0;
}

void uvdio__loop_signal(uvdio_engine_t* engine, uvdio_link_t_* signals, uvdio_link_t_* link) {
  assert(engine->has_signal);
  uv_mutex_lock(&engine->signal_mutex);
  if (uvdio__list_is_empty(link)) {
    uvdio__link_insert(link, signals);
  }
  /* Nothing is sent to a handle that the user has closed: on Windows libuv would close it again. */
  if (engine->is_signal_open && !uv_is_closing((uv_handle_t*)&engine->signal)) {
    (void)uv_async_send(&engine->signal);
  }
  uv_mutex_unlock(&engine->signal_mutex);
}

/* By the mutex. */
static void take(uvdio_link_t_* link) {
  uvdio__link_remove(link);
  uvdio__list_init(link);
}

uvdio_link_t_* uvdio__loop_take_signal(uvdio_engine_t* engine, uvdio_link_t_* signals) {
  uvdio_link_t_* link = NULL;

  if (!engine->has_signal) {
    return NULL;
  }
  uv_mutex_lock(&engine->signal_mutex);
  if (!uvdio__list_is_empty(signals)) {
    link = signals->next;
    take(link);
  }
  uv_mutex_unlock(&engine->signal_mutex);
  return link;
}

void uvdio__loop_forget_signal(uvdio_engine_t* engine, uvdio_link_t_* link) {
  uv_mutex_lock(&engine->signal_mutex);
  take(link);
  uv_mutex_unlock(&engine->signal_mutex);
}

static void on_signal_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, signal));
}

/* In a forked child another thread of the parent may have the mutex. */
static void stop_listening(uvdio_engine_t* engine) {
  if (!engine->has_signal) {
    return;
  }
  if (uvdio__engine_is_forked(engine)) {
    engine->is_signal_open = 0;
  } else {
    uv_mutex_lock(&engine->signal_mutex);
    engine->is_signal_open = 0;
    uv_mutex_unlock(&engine->signal_mutex);
  }
  uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->signal, on_signal_closed);
}

/*
 * The timer
 */

int uvdio__loop_have_timer(uvdio_engine_t* engine) {
  if (engine->has_timer) {
    return 0;
  }
  if (engine->loop_state != LOOP_ATTACHED) {
    return UV_EBADF;
  }
  (void)uv_timer_init(engine->loop, &engine->timer);
  uv_unref((uv_handle_t*)&engine->timer);
  engine->has_timer = 1;
  return 0;
}

static void on_timer(uv_timer_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, timer);

  if (!uvdio__engine_is_inherited(engine)) {
    engine->poll_pending = 1; /* Timers come before the poll, and that must not block now. */
    uvdio__loop_wake(engine);
  }
}

void uvdio__loop_wake_after(uvdio_engine_t* engine, uint64_t milliseconds) {
  assert(engine->has_timer);
  if (uv_is_closing((uv_handle_t*)&engine->timer)) {
    uvdio__loop_wake(engine); /* Where the user did that: leaves the loop. */
    return;
  }
  if (!uv_is_active((uv_handle_t*)&engine->timer) ||
      uv_timer_get_due_in(&engine->timer) > milliseconds) {
    (void)uv_timer_start(&engine->timer, on_timer, milliseconds, 0);
  }
}

static void on_timer_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, timer));
}

/*
 * Off the loop
 */

void uvdio__loop_close_handle(uvdio_engine_t* engine, uv_handle_t* handle, uv_close_cb close_cb) {
  assert(engine->loop_state != LOOP_ATTACHED);
  if (uv_is_closing(handle)) {
    engine->loop_state = LOOP_LINGERING;
    return;
  }
  engine->handles_closing++;
  uv_close(handle, close_cb);
}

void uvdio__loop_handle_closed(uvdio_engine_t* engine) {
  assert(engine->handles_closing > 0);
  if (--engine->handles_closing == 0 && !uvdio__engine_is_inherited(engine)) {
    engine->hooks->iterate_off_loop(engine);
  }
}

static void on_check_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, check));
}

static void on_idle_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, idle));
}

static void on_prepare_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, prepare));
}

static void on_tick(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, tick));
}

/* An async handle that was sent to: Windows would finish any other one within the same closing
 * phase, but has to see the sending first. */
void uvdio__loop_tick(uvdio_engine_t* engine) {
  int error = uv_async_init(engine->loop, &engine->tick, NULL);

  assert(error == 0); /* It takes the descriptor that the loop has for its workers. */
  (void)error;
  (void)uv_async_send(&engine->tick);
  uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->tick, on_tick);
}

void uvdio__loop_detach(uvdio_engine_t* engine) {
  unsigned i;

  assert(engine->loop_state == LOOP_ATTACHED);
  engine->loop_state = LOOP_DETACHED;
  engine->poller = 0;
  engine->idle_active = 0;
  set_held(engine, 1); /* Nothing is left to refer to. */
  uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->check, on_check_closed);
  uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->idle, on_idle_closed);
  uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->prepare, on_prepare_closed);
  stop_listening(engine);
  if (engine->has_timer) {
    uvdio__loop_close_handle(engine, (uv_handle_t*)&engine->timer, on_timer_closed);
  }
  for (i = 0; i < engine->queue_count; i++) {
    if (engine->queues[i].backend->leave_loop != NULL) {
      engine->queues[i].backend->leave_loop(&engine->queues[i]);
    }
  }
  uvdio__loop_tick(engine);
}

/*
 * Wake-ups
 */

static UVDIO__NOINLINE void wake_off_loop(uvdio_engine_t* engine) {
  if (engine->loop_state == LOOP_ATTACHED) {
    uvdio__loop_detach(engine); /* The user has closed the handle. */
  } else if (engine->handles_closing == 0 && !engine->in_iteration) {
    uvdio__loop_tick(engine);
  }
}

void uvdio__loop_wake(uvdio_engine_t* engine) {
  int error;

  if (engine->idle_active && !uv_is_closing((uv_handle_t*)&engine->idle)) {
    return; /* The user may have closed the handle while it was active. */
  }
  if (engine->loop_state != LOOP_ATTACHED || uv_is_closing((uv_handle_t*)&engine->idle)) {
    wake_off_loop(engine);
    return;
  }
  error = uv_idle_start(&engine->idle, engine->hooks->on_idle);
  assert(error == 0);
  (void)error;
  engine->idle_active = 1;
}
