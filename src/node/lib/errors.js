// SPDX-License-Identifier: MIT
'use strict';
// Errors, and checks of arguments. Each message says what was wrong and what would be right.

const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

class AbortError extends Error {
  constructor(reason) {
    super('The operation was aborted', { cause: reason });
    this.name = 'AbortError';
    this.code = 'ABORT_ERR';
  }
}

function typeError(message) {
  const error = new TypeError(message);
  error.code = 'ERR_INVALID_ARG_TYPE';
  return error;
}

function valueError(message) {
  const error = new RangeError(message);
  error.code = 'ERR_INVALID_ARG_VALUE';
  return error;
}

// An error of the library's, found before the library is asked.
function libraryError(code, errno, syscall, path, message) {
  const error = new Error(`${code}: ${message}, ${syscall} '${path}'`);
  return Object.assign(error, { code, errno, syscall, path });
}

const alignmentError = (syscall, path, message) =>
  libraryError('UVDIO_EALIGN', -5001, syscall, path, message);

const closedError = (syscall, path) =>
  libraryError('EBADF', -9, syscall, path, 'the file is closed, or being closed');

function show(value) {
  return typeof value === 'string' ? `'${value}'` : typeof value === 'bigint' ? `${value}n`
    : typeof value === 'object' && value !== null ? value.constructor?.name ?? 'an object'
    : String(value);
}

function oneOf(table, value, name) {
  if (typeof value !== 'string' || !Object.hasOwn(table, value)) {
    const valid = Object.keys(table).map((key) => `'${key}'`).join(', ');
    throw valueError(`${name} is ${show(value)}; it has to be one of ${valid}`);
  }
  return table[value];
}

// Bytes: an offset, length or size, as a number.
function toBytes(value, name, fallback) {
  if (value === undefined && fallback !== undefined) {
    return fallback;
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw typeError(`${name} is ${show(value)}; it has to be a number or bigint of bytes`);
  }
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0 || number > OFFSET_MAX) {
    throw valueError(`${name} is ${show(value)}; it has to be an integer from 0 to 2^53 - 1`);
  }
  return number;
}

// A size in such units, `least` at least; 0 where it is not given.
function toUnits(value, name, unit, least) {
  const bytes = toBytes(value, name, 0);
  if (bytes % unit !== 0 || (bytes !== 0 && bytes < least)) {
    throw valueError(`${name} is ${bytes}; it has to be a multiple of ${unit}, and ${least} ` +
      'at least');
  }
  return bytes;
}

function toLsn(value, name) {
  if (typeof value !== 'bigint') {
    throw typeError(`${name} is ${show(value)}; it has to be a bigint, one of append() or of a ` +
      'record');
  }
  if (value < 0n || value >= 2n ** 64n) {
    throw valueError(`${name} is ${show(value)}; it has to be a bigint from 0n to 2n ** 64n - 1n`);
  }
  return value;
}

// A view of any kind, as bytes.
function toUint8Array(value, name) {
  if (value instanceof Uint8Array) {
    return value;
  }
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  throw typeError(`${name} is ${show(value)}; it has to be a Buffer, TypedArray or DataView`);
}

// An options object with no names but these.
function toOptions(value, names, where) {
  if (value === undefined) {
    return {};
  }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    throw typeError(`the options of ${where} are ${show(value)}; they have to be an object`);
  }
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) {
      throw valueError(`${where} has no option '${name}'; it has: ${names.join(', ')}`);
    }
  }
  return value;
}

function toSignal(value) {
  const isSignal = typeof value?.addEventListener === 'function' && 'aborted' in value;
  if (value !== undefined && !isSignal) {
    throw typeError(`signal is ${show(value)}; it has to be an AbortSignal`);
  }
  return value;
}

function checkSignal(signal) {
  if (toSignal(signal)?.aborted) {
    throw new AbortError(signal.reason);
  }
}

function toPath(value, name = 'path') {
  let path = value;
  if (value instanceof URL) {
    path = require('node:url').fileURLToPath(value);
  } else if (value instanceof Uint8Array) {
    path = Buffer.from(value).toString();
    if (!Buffer.from(path).equals(value)) {
      throw valueError(`${name} is no UTF-8`);
    }
  }
  if (typeof path !== 'string') {
    throw typeError(`${name} is ${show(value)}; it has to be a string, Buffer or URL`);
  }
  if (path === '' || path.includes('\0')) {
    throw valueError(`${name} is ${path === '' ? 'empty' : 'a string with a null byte'}`);
  }
  return path;
}

function toMode(value, fallback) {
  const mode = toBytes(value, 'mode', fallback);
  if (mode > 0o7777) {
    throw valueError(`mode is ${mode}; it has to be 0o7777 at most`);
  }
  return mode;
}

// In the addon, EBUSY is about the bytes of a call. Returns the error.
function explainBusy(error) {
  if (error.code === 'EBUSY') {
    error.message = 'EBUSY: an operation in flight reads into or writes from these bytes of the ' +
      `buffer; await it first, ${error.syscall} '${error.path}'`;
  }
  return error;
}

// Node has it from 18.18 and 20.4 on.
const asyncDispose = Symbol.asyncDispose ?? Symbol('Symbol.asyncDispose');

module.exports = {
  AbortError, alignmentError, asyncDispose, checkSignal, closedError, explainBusy, libraryError,
  oneOf, show, toBytes, toLsn, toMode, toOptions, toPath, toSignal, toUint8Array, toUnits,
  typeError, valueError,
};
