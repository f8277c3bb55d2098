// SPDX-License-Identifier: MIT
'use strict';
// One native operation as a promise: what AbortSignal asks, and where in the program an error came
// from.

const native = require('./native.js');
const { AbortError } = require('./errors.js');

const TOKEN = 1; // in native.shared

// Errors are made in the addon, which knows no JavaScript stack: give them that of who awaits.
function located(error) {
  if (error instanceof Error) {
    Error.captureStackTrace(error, located);
  }
  return error;
}

// What is to be done when a signal aborts: one listener for all of it, since Node warns of many.
const watched = new WeakMap();

function watch(signal) {
  const acts = new Set();
  const abort = () => acts.forEach((act) => act());
  const watcher = { acts, abort };
  watched.set(signal, watcher);
  signal.addEventListener('abort', abort, { once: true });
  return watcher;
}

// Returns what has it forgotten. The signal holds `act`, and all that it holds.
function onAbort(signal, act) {
  const { acts, abort } = watched.get(signal) ?? watch(signal);
  acts.add(act);
  return () => {
    acts.delete(act);
    if (acts.size === 0 && watched.get(signal)?.acts === acts) {
      watched.delete(signal);
      signal.removeEventListener('abort', abort);
    }
  };
}

// Aborting asks the library to end the operation that was submitted last early.
function cancelOnAbort(signal) {
  const token = native.shared[TOKEN];
  return onAbort(signal, () => native.cancel(token));
}

// The result of a native operation's promise. It is settled when the kernel has let go of the
// memory, also after an abort, and with the ordinary result where the operation went through all
// the same. `explain` may change the message of an error.
async function settled(promise, signal, explain) {
  const forget = signal === undefined ? undefined : cancelOnAbort(signal);
  try {
    return await promise;
  } catch (error) {
    if (signal?.aborted && error.code === 'ECANCELED') {
      throw new AbortError(signal.reason);
    }
    explain?.(error);
    throw located(error);
  } finally {
    forget?.();
  }
}

module.exports = { located, onAbort, settled };
