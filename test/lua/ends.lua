-- SPDX-License-Identifier: MIT
-- How scripts end: each is a process of its own, whose exit status and output tell.
local check = require "check"

local lua = arg[-1]
local head = [[
local uv = require "luv"
local function at_end() end
if newproxy then -- LuaJIT
  object = newproxy(true)
  getmetatable(object).__gc = function() at_end() end
else
  object = setmetatable({}, {__gc = function() at_end() end})
end
local uvdio = require "uvdio"
local path = os.getenv("UVDIO_TEST_FILE")
local page = ("x"):rep(4096)
local file = assert(uvdio.open(path, uvdio.OPEN_CREATE + uvdio.O_DIRECT_PREFERRED))
]]

local function run(script, status, text, closes_nothing)
  local name = check.path .. ".lua"
  local out = assert(io.open(name, "w"))
  out:write(head .. script)
  out:close()
  local environment = closes_nothing and "env ASAN_OPTIONS=detect_leaks=0 " or ""
  local pipe = io.popen(environment .. lua .. " " .. name .. " 2>&1; echo status $?")
  local said = pipe:read("*a")
  pipe:close()
  os.remove(name)
  check.equal(tonumber(said:match("status (%d+)%s*$")), status, said)
  assert(said:find(text, 1, true), said)
end

local function written(pages)
  local file = io.open(check.path, "rb")
  local bytes = file and file:read("*a") or ""
  if file then
    file:close()
  end
  check.equal(bytes == ("x"):rep(pages * 4096), os.getenv("UVDIO_BACKEND") ~= "memory", "written")
end

local function ends(name, script, status, text, pages, closes_nothing)
  check.case(name, function()
    run(script, status, text, closes_nothing)
    if pages then
      written(pages)
    end
  end)
end

ends("without a look at the loop", [[
  for i = 0, 99 do file:write(i * 4096, page, function() print("called") end) end
  print("end")]], 0, "end\nstatus", 100)

ends("with a coroutine that waits", [[
  coroutine.wrap(function() file:write(0, page) print("called") end)()
  print("end")]], 0, "end\nstatus", 1)

ends("by os.exit() within a callback", [[
  for i = 0, 9 do file:write(i * 4096, page, function() print("once") os.exit(3, true) end) end
  uv.run()]], 3, "once\nstatus")

-- luv calls exit(3) then, and Lua is not closed.
ends("by an error within a callback", [[
  file:size(function() error("thrown") end)
  uv.run() print("not this")]], 255, "thrown", nil, true)

ends("while it opens and closes", [[
  for i = 1, 10 do
    uvdio.open(path, function(_, other) other:close(function() end) end)
    file:write(0, page, function() end)
  end
  file:close(function() end)
  uv.run("nowait")
  print("end")]], 0, "end\nstatus", 1)

ends("while the engine ends", [[
  file:write(0, page, function() end)
  uvdio.engine_close(function() print("called") end)
  print("end")]], 0, "end\nstatus", 1)

-- Objects are finalized in the reverse order: this one after the module, and before luv's loop.
ends("by finalizers that come too late", [[
  file:write(0, page, function() print("called") end)
  at_end = function()
    print((pcall(file.size, file)))
    print((select(2, uvdio.open(path))))
    print((select(3, uvdio.alloc(4096))))
  end]], 0, "false\nEBADF: bad file descriptor: the Lua state is being closed\nEBADF\nstatus", 1)

ends("after a collection with requests in flight", [[
  for i = 0, 9 do file:write(i * 4096, page, function() end) end
  local buffer = uvdio.alloc(4096)
  file:read(0, buffer, function() end)
  file, buffer = nil, nil
  collectgarbage() collectgarbage()
  uv.run()
  print("end")]], 0, "end\nstatus", 10)

check.finish()
