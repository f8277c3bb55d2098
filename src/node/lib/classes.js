// SPDX-License-Identifier: MIT
'use strict';
// Classes: operations of this thread that share a priority and limits.

const native = require('./native.js');
const { settled } = require('./operation.js');
const errors = require('./errors.js');

const CLASS = 2; // in native.shared
const NUMBERS = 16;
const NAMES = { default: 0, log: 1, foreground: 2, background: 3 };
const PRIORITIES = { none: 0, idle: 1, low: 2, normal: 3, high: 4, realtime: 5 };

const UNSIGNED_MAX = 2 ** 32 - 1;
const LIMITS = {
  shares: 10000, depth: UNSIGNED_MAX, operationsPerSecond: Infinity, bytesPerSecond: Infinity,
  queueMax: UNSIGNED_MAX, queueBytesMax: Infinity,
};

// The number of a class: one of NAMES, or a number itself.
function toClass(value, name = 'class') {
  if (value === undefined) {
    return NAMES.default;
  }
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || value < 0 || value >= NUMBERS) {
      throw errors.valueError(`${name} is ${value}; it has to be an integer from 0 to ` +
        `${NUMBERS - 1}, or a name`);
    }
    return value;
  }
  return errors.oneOf(NAMES, value, name);
}

// The next operation that is submitted is of this class. Call it right before: nothing may throw
// in between.
function inClass(number) {
  native.shared[CLASS] = number;
}

function toLimit(options, key) {
  const value = errors.toBytes(options[key], key, 0);
  if (value > LIMITS[key]) {
    throw errors.valueError(`${key} is ${value}; it has to be ${LIMITS[key]} at most`);
  }
  return value;
}

function setClass(which, given) {
  const number = toClass(which);
  const options = errors.toOptions(given, [...Object.keys(LIMITS), 'priority'], 'setClass()');
  const priority = errors.oneOf(PRIORITIES, options.priority ?? 'none', 'priority');
  const limit = (key) => toLimit(options, key);
  try {
    native.setClass(number, limit('shares'), limit('depth'), limit('operationsPerSecond'),
      limit('bytesPerSecond'), priority, limit('queueMax'), limit('queueBytesMax'));
  } catch (error) {
    if (error.code === 'EBUSY') {
      error.message = 'EBUSY: operations are pending, and this thread has no classes yet; call ' +
        'setClass() before the first operation';
    }
    throw error;
  }
}

const classStats = (which) => native.classStats(toClass(which));

async function waitForRoom(which) {
  return settled(native.waitForRoom(toClass(which)));
}

module.exports = { classStats, inClass, setClass, toClass, waitForRoom };
