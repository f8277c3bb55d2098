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

// The operations of each signal: one listener for all of them, since Node warns of many.
const watched = new WeakMap();

function watch(signal) {
  const tokens = new Set();
  const abort = () => tokens.forEach((token) => native.cancel(token));
  const watcher = { tokens, abort };
  watched.set(signal, watcher);
  signal.addEventListener('abort', abort, { once: true });
  return watcher;
}

// Aborting asks the library to end the operation that was submitted last early.
function cancelOnAbort(signal) {
  const { tokens, abort } = watched.get(signal) ?? watch(signal);
  const token = native.shared[TOKEN];
  tokens.add(token);
  return () => {
    tokens.delete(token);
    if (tokens.size === 0 && watched.get(signal)?.tokens === tokens) {
      watched.delete(signal);
      signal.removeEventListener('abort', abort);
    }
  };
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

module.exports = { located, settled };
