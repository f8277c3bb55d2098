# SPDX-License-Identifier: MIT
# The tests on Windows: what does not stand on POSIX calls. They run by CTest, under wine where the
# build is a cross build.

foreach(name IN ITEMS transfers vectors durable_writes shared_writes groups appends ranges frames
    names synchronous bad_input order truncate cancel pending scheduling classes loop loop_binding
    loop_busy_poll loop_fairness loop_handles dup atomic_writes streams writers)
  uvdio_contract(${name})
endforeach()
uvdio_contract(anonymous BACKENDS memory)
foreach(name IN ITEMS logs log_readers) # which sync their directory
  uvdio_contract(${name} BACKENDS memory)
endforeach()
uvdio_contract(file)
uvdio_contract(metrics BACKENDS memory)
# They compare what a loop does in some milliseconds.
set_tests_properties(contract_metrics.memory contract_metrics.memory.sim
  contract_loop_binding.pool.here contract_loop_binding.memory contract_loop_binding.memory.sim
  PROPERTIES RUN_SERIAL TRUE)
uvdio_test_program(stress stress/test_stress.c)
uvdio_add_matrix(stress "contract;stress")
foreach(name IN ITEMS late rules) # worlds have rules of their own
  uvdio_contract(${name} BACKENDS pool)
  uvdio_add_test(contract_${name}.memory contract_${name} contract --backend memory)
endforeach()

foreach(name IN ITEMS cuts crashes faults edge_cases names appends logs writers)
  uvdio_test(sim_${name} LABEL sim SOURCES sim/test_${name}.c sim/world.c)
endforeach()
uvdio_test_program(sim_model sim/sim_model.c sim/model_run.c)
uvdio_add_test(sim_model.memory sim_model sim --backend memory --operations 100000)
uvdio_test_program(log_cuts sim/cuts.c sim/log.c)
foreach(flaw IN ITEMS none no_sync no_checksum no_chain no_recovery_sync no_wait)
  uvdio_add_test(sim_log.${flaw} log_cuts sim --flaw ${flaw} --cuts 2000)
endforeach()

uvdio_test_program(windows_files windows/test_files.c)
uvdio_add_test(windows_files windows_files contract --backend pool --filesystem here)

# It calls the library's own functions for the system.
uvdio_test(unit_overlapped LABEL unit SOURCES windows/test_overlapped.c)
target_include_directories(unit_overlapped PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(unit_overlapped PRIVATE ntdll)
