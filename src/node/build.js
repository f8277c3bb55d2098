// SPDX-License-Identifier: MIT
'use strict';
// Builds the addon with the C compiler, from the sources in vendor/ (of the package) or of the tree
// around. Fetches nothing. The list of the library's sources is that of cmake/library.cmake.
//
//   CC                  the compiler; cc
//   CFLAGS              further options for it
//   UVDIO_NODE_INCLUDE  the folder with node_api.h and uv.h; that beside node
//   UVDIO_WITH_RING     off: without io_uring, also where liburing is there

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const here = __dirname;
const vendored = path.join(here, 'vendor');
const root = fs.existsSync(vendored) ? vendored : path.join(here, '..', '..');
const out = path.join(here, 'build');
const cc = (process.env.CC || 'cc').split(' ');
const isLinux = process.platform === 'linux';

function fail(message) {
  console.error(`uvdio: ${message}`);
  process.exit(1);
}

// Whether the compiler takes this program with these options.
function compiles(program, options) {
  const [command, ...first] = cc;
  const target = path.join(out, 'probe');
  try {
    execFileSync(command, [...first, '-x', 'c', '-', '-x', 'none', '-o', target, ...options],
      { input: program, stdio: ['pipe', 'ignore', 'ignore'] });
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(target, { force: true });
  }
}

// Where Node's headers may be: beside node, as its archives, images and most packages have them;
// in npm's package `node`; where node-gyp was told; what node-gyp has fetched before.
function headerFolders() {
  const prefix = path.join(fs.realpathSync(process.execPath), '..', '..');
  const nested = path.join(prefix, 'node_modules');
  const packages = fs.existsSync(nested) ? fs.readdirSync(nested) : [];
  return [
    process.env.UVDIO_NODE_INCLUDE,
    path.join(prefix, 'include', 'node'),
    ...packages.map((name) => path.join(nested, name, 'include', 'node')),
    process.env.npm_config_nodedir && path.join(process.env.npm_config_nodedir, 'include', 'node'),
    path.join(os.homedir(), '.cache', 'node-gyp', process.versions.node, 'include', 'node'),
  ].filter(Boolean);
}

function findHeaders() {
  const folders = headerFolders();
  for (const folder of folders) {
    if (['node_api.h', 'uv.h'].every((name) => fs.existsSync(path.join(folder, name)))) {
      return folder;
    }
  }
  fail('Node\'s headers (node_api.h, uv.h) are in none of these folders:\n' +
    folders.map((folder) => `  ${folder}\n`).join('') +
    'Install them (Debian: libnode-dev), or name their folder in UVDIO_NODE_INCLUDE.');
}

// The archive goes before the shared library, so that the addon also loads where that is missing.
function findRing() {
  if (!isLinux) {
    return { reason: `${process.platform} has no io_uring` };
  }
  if (process.env.UVDIO_WITH_RING === 'off') {
    return { reason: 'UVDIO_WITH_RING is off' };
  }
  // io_uring_get_events() is one of version 2.3.
  const program = '#include <liburing.h>\nint main(void) { struct io_uring r; ' +
    'return io_uring_queue_init(1, &r, 0) + io_uring_get_events(&r); }';
  const links = ['-l:liburing.a', '-luring'];
  const link = links.find((option) => compiles(program, ['-D_GNU_SOURCE', option]));
  return link === undefined
    ? { reason: 'liburing 2.3 or later was not found (Debian: liburing-dev)' }
    : { link };
}

const hasAio = () => isLinux && compiles('#include <linux/aio_abi.h>\n#include <sys/syscall.h>\n' +
  'int main(void) { return SYS_io_submit + IOCB_CMD_POLL + IOCB_FLAG_RESFD; }', []);

// The value of a condition of cmake/library.cmake.
function holds(condition, facts) {
  const system = condition.match(/CMAKE_SYSTEM_NAME STREQUAL "(\w+)"/);
  if (system !== null) {
    return system[1].toLowerCase() === process.platform;
  }
  return condition.split(' OR ').some((each) => facts[each] ?? false);
}

// Lines of one file in cmake/library.cmake: sources, and the ifs around them.
function listSources(facts) {
  const text = fs.readFileSync(path.join(root, 'cmake', 'library.cmake'), 'utf8');
  const ifs = [];
  const sources = [];
  for (const line of text.split('\n')) {
    const condition = line.match(/^\s*(?:else)?if\((.*)\)$/)?.[1];
    if (/^\s*(elseif|else|endif)\(/.test(line)) {
      ifs.pop();
    }
    if (condition !== undefined) {
      ifs.push(holds(condition, facts));
    } else if (/^\s*else\(/.test(line)) {
      ifs.push(false);
    }
    if (ifs.every(Boolean)) {
      sources.push(...(line.match(/\bsrc\/[\w/]+\.c\b/g) ?? []));
    }
  }
  return sources.map((name) => path.join(root, name));
}

function run(argumentsOf) {
  return new Promise((resolve, reject) => {
    const child = spawn(cc[0], [...cc.slice(1), ...argumentsOf], { stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${cc.join(' ')} has failed`)));
  });
}

async function compileAll(sources, options) {
  const objects = [];
  const queue = sources.map((source, index) => {
    const object = path.join(out, `${index}-${path.basename(source, '.c')}.o`);
    objects.push(object);
    return { source, object };
  });
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      await run([...options, '-c', job.source, '-o', job.object]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(os.cpus().length, 8) }, worker));
  return objects;
}

// The executable has libuv, once: a second one would be shut down with the first worker that ends.
// What threads leave behind calls the addon at their end, so that it is never unloaded.
const linkOptions = isLinux
  ? ['-shared', '-Wl,-z,now', '-Wl,-z,nodelete',
    `-Wl,--version-script=${path.join(here, 'addon', 'exports.map')}`]
  : ['-bundle', '-undefined', 'dynamic_lookup'];

async function build() {
  fs.rmSync(out, { recursive: true, force: true });
  fs.mkdirSync(out, { recursive: true });
  if (!compiles('int main(void) { return 0; }', [])) {
    fail(`no C compiler that works: '${cc.join(' ')}'. Install one (Debian: gcc libc6-dev), or ` +
      'name one in CC.');
  }
  const headers = findHeaders();
  const ring = findRing();
  const aio = hasAio();
  const defines = ['-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64'];
  if (ring.link !== undefined) {
    defines.push('-DUVDIO_HAVE_RING=1');
  }
  if (aio) {
    defines.push('-DUVDIO_HAVE_AIO=1');
  }
  const options = ['-std=gnu11', '-O2', '-DNDEBUG', '-fPIC', '-fvisibility=hidden', '-pthread',
    '-I', path.join(root, 'include'), '-I', path.join(root, 'src'), '-isystem', headers, ...defines,
    ...(process.env.CFLAGS ?? '').split(' ').filter(Boolean)];
  const addon = fs.readdirSync(path.join(here, 'addon')).filter((name) => name.endsWith('.c'));
  const objects = await compileAll([
    ...addon.map((name) => path.join(here, 'addon', name)),
    ...listSources({ UVDIO_HAVE_RING: ring.link !== undefined, UVDIO_HAVE_AIO: aio }),
  ], options);
  const target = path.join(out, 'uvdio.node');
  await run([...linkOptions, '-pthread', '-o', target, ...objects,
    ...(ring.link === undefined ? [] : [ring.link])]);
  objects.forEach((object) => fs.rmSync(object));
  require(target); // all symbols are there
  const instead = aio ? 'kernel AIO' : 'the threadpool';
  console.log(`uvdio: built ${target}, headers of ${headers}, ` + (ring.reason === undefined
    ? `io_uring (${ring.link})`
    : `WITHOUT io_uring: ${ring.reason}; ${instead} takes its place`));
}

build().catch((error) => fail(error.message));
