-- SPDX-License-Identifier: MIT
-- Operations, in each of their three forms, and what is refused.
local uv = require "luv"
local uvdio = require "uvdio"
local check = require "check"

local PAGE = uvdio.PAGE_SIZE
local equal = check.equal

local function pattern(size)
  local pieces = {}
  for i = 1, size / 8 do
    pieces[i] = ("%08d"):format(i)
  end
  return table.concat(pieces)
end

-- The file by the form of a coroutine, with some pages in it.
local function open_with(pages)
  local file = assert(uvdio.open(check.path, check.RW))
  equal(assert(file:write(0, pattern(pages * PAGE))), pages * PAGE)
  return file
end

check.case("a coroutine waits, and the loop goes on", function()
  local ticks = 0
  local timer = uv.new_timer()
  timer:start(0, 1, function() ticks = ticks + 1 end)
  local file = open_with(4)
  repeat
    equal(assert(file:read(100, 1000)), pattern(4 * PAGE):sub(101, 1100))
  until ticks >= 2
  timer:close()
  equal(file:size(), 4 * PAGE)
  equal(file:sync_data(), true)
  equal(file:sync_all(), true)
  equal(file:truncate(2 * PAGE), true)
  equal(file:size(), 2 * PAGE)
  equal(file:close(), true)
end)

check.case("callbacks get an error or a value", function()
  local told = {}
  local ends = 0
  local function tell(name)
    return function(...)
      told[name] = {...}
      ends = ends + 1
    end
  end
  local file = open_with(1)
  equal(uvdio.open("/nowhere/at/all", tell "open"), true)
  equal(file:read(1, 3, tell "read"), true)
  equal(file:write(PAGE, pattern(PAGE), tell "write"), true)
  equal(file:size(tell "size"), true)
  equal(ends, 0, "callbacks from within the calls")
  file:sync_data()
  check.wait(file, function() return ends == 4 end)
  equal(told.open[1], "ENOENT: no such file or directory: /nowhere/at/all")
  equal(told.open[2], nil)
  equal(told.open[3], "ENOENT")
  equal(told.read[1], nil)
  equal(told.read[2], pattern(PAGE):sub(2, 4))
  equal(told.write[2], PAGE)
  equal(type(told.size[2]), "number")
  file:close(tell "close")
end)

-- A callback of luv is in no coroutine.
check.case("elsewhere a call blocks", function()
  local is_done = false
  local file = open_with(1)
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    timer:close()
    local other = assert(uvdio.open(check.path))
    equal(assert(other:read(8, 8)), "00000002")
    equal(other:size(), PAGE)
    local size, message, name = other:write(0, pattern(PAGE))
    equal(size, nil)
    equal(message, "EBADF: bad file descriptor")
    equal(name, "EBADF")
    equal(other:close(), true)
    is_done = true
  end)
  check.wait(file, function() return is_done end)
  file:close()
end)

check.case("ranges end where the file does", function()
  local file = open_with(1)
  equal(assert(file:read(PAGE - 5, 100)), pattern(PAGE):sub(-5))
  equal(assert(file:read(PAGE, 100)), "")
  equal(assert(file:read(10 * PAGE + 1, 1)), "")
  equal(assert(file:read(3, 0)), "")
  equal(assert(file:write(0, "")), 0)
  equal(file:size(), PAGE)
  file:close()
end)

check.case("a buffer is empty while it is in flight", function()
  local file = open_with(2)
  local buffer = uvdio.alloc(PAGE)
  equal(buffer:capacity(), PAGE)
  local got
  file:read(PAGE, buffer, function(_, count) got = count end)
  check.raises("in flight", buffer.string, buffer)
  check.raises("in flight", file.read, file, 0, buffer)
  check.raises("in flight", file.write, file, 0, buffer)
  check.wait(file, function() return got ~= nil end)
  equal(got, PAGE)
  equal(buffer:string(), pattern(2 * PAGE):sub(PAGE + 1))
  equal(buffer:string(8, 8), pattern(2 * PAGE):sub(PAGE + 9, PAGE + 16))
  equal(buffer:string(PAGE + 1), "")
  buffer:put(0, "new")
  equal(file:write(0, buffer), PAGE)
  equal(file:read(0, 5), "new00")
  equal(buffer:len(), PAGE)
  buffer:release()
  check.raises("released", buffer.string, buffer)
  file:close()
end)

check.case("a refused or failed call gives the buffer back", function()
  local file = open_with(1)
  local buffer = uvdio.alloc(PAGE)
  equal(select(3, file:read(1, buffer)), "EALIGN")
  equal(buffer:len(), PAGE)
  local other = assert(uvdio.open(check.path, uvdio.O_RDONLY + uvdio.O_DIRECT_PREFERRED))
  equal(select(3, other:write(0, buffer)), "EBADF")
  equal(buffer:string(0, 1), "\0")
  other:close()
  check.raises("the file is closed", other.size, other)
  file:close()
end)

check.case("what is wrong is said", function()
  local file = open_with(1)
  local got, message, name = file:write(100, "abc")
  equal(got, nil)
  equal(name, "EALIGN")
  assert(message:find("a write of 3 bytes at 100, where offset and length are multiples of 4096", 1,
    true), message)
  equal(select(3, uvdio.open(check.path, 1e6)), "EINVAL")
  check.raises("number", file.read, file, "here", 1)
  check.raises("0 or more", file.read, file, -1, 1)
  check.raises("flags of writes", file.write, file, 0, "", 8)
  check.raises("past the buffer's capacity", uvdio.alloc(PAGE).put, uvdio.alloc(PAGE), 4000,
    ("x"):rep(97))
  equal(select(3, uvdio.alloc(0)), "ESIZE")
  check.raises("invalid option", uvdio.engine_create, {backend = "tape"})
  equal(select(3, uvdio.engine_create({})), "EBUSY")
  file:close()
end)

check.case("space, durable writes, a replacement", function()
  local file = open_with(2)
  equal(file:write(PAGE, pattern(PAGE), uvdio.WRITE_DURABLE), PAGE)
  equal(file:zero_range(0, PAGE), true)
  equal(file:read(PAGE - 1, 2), "\0000")
  equal(file:preallocate(0, 4 * PAGE, uvdio.SPACE_KEEP_SIZE), true)
  equal(file:size(), 2 * PAGE)
  if uvdio.engine_backend() ~= "memory" then
    equal(file:replace(check.path .. ".new"), true)
    equal(uvdio.sync_directory("."), true)
    os.remove(check.path .. ".new")
  end
  equal(file:info().offset_align, 4096)
  file:close()
end)

check.case("an error in a coroutine is told as luv tells one", function()
  local lua = arg[-1]
  local script = [[
    local uv, uvdio = require "luv", require "uvdio"
    coroutine.wrap(function() uvdio.sync_directory("."); error("thrown") end)()
    uv.run() print("went on")]]
  local pipe = io.popen(lua .. " -e '" .. script .. "' 2>&1")
  local text = pipe:read("*a")
  pipe:close()
  assert(text:find("Uncaught Error", 1, true) and text:find("thrown", 1, true), text)
  assert(not text:find("went on", 1, true), text)
end)

check.case("files that nobody has any more are closed", function()
  local function descriptors()
    local count = 0
    for _ in uv.fs_scandir_next, assert(uv.fs_scandir("/proc/self/fd")) do
      count = count + 1
    end
    return count
  end
  open_with(1):close()
  local before = descriptors()
  for _ = 1, 20 do
    open_with(1)
  end
  collectgarbage()
  collectgarbage()
  local file = open_with(1)
  check.wait(file, function() return descriptors() <= before + 1 end)
  file:close()
end)

check.case("many at once, cancelled and counted", function()
  local file = open_with(64)
  local count, cancelled = 0, 0
  local bytes = pattern(64 * PAGE)
  local before = uvdio.engine_stats().completed
  for i = 0, 999 do
    assert(file:read(i % 64 * PAGE, 10, function(message, text, name)
      count = count + 1
      cancelled = cancelled + (name == "ECANCELED" and 1 or 0)
      assert(message or text == bytes:sub(i % 64 * PAGE + 1, i % 64 * PAGE + 10))
    end))
  end
  equal(file:cancel(), true)
  check.wait(file, function() return count == 1000 end)
  assert(uvdio.engine_stats().completed - before >= 1000)
  equal(uvdio.engine_cancel(), true)
  file:close()
  print("# cancelled: " .. cancelled)
end)

check.case("the engine ends, and another one begins", function()
  local file = open_with(1)
  local is_read
  file:read(0, 8, function(_, text) is_read = text end)
  equal(uvdio.engine_close(), true)
  equal(is_read, "00000001", "the request before")
  check.raises("the file is closed", file.size, file)
  equal(select(3, uvdio.engine_close()), "EBADF")
  uv.walk(function() error("a handle is left") end)
  open_with(1):close()
end)

print("# " .. uvdio.engine_backend() .. ": " .. uvdio.engine_backend_reason())
check.finish()
