/*
 * What uvdio bench --copy measured: table, JSON, picture.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench_copy.h"

spread_t copy_row_rate(const copy_bench_t* bench, const copy_row_t* row) {
  double values[COPY_ROUNDS_MAX];
  for (size_t i = 0; i < row->count; i++) {
    values[i] = (double)bench->size / row->seconds[i];
  }
  return spread_of(values, row->count);
}

spread_t copy_row_ratio(const copy_row_t* row, const copy_row_t* base) {
  double values[COPY_ROUNDS_MAX];
  size_t count = row->count < base->count ? row->count : base->count;
  for (size_t i = 0; i < count; i++) {
    values[i] = base->seconds[i] / row->seconds[i];
  }
  return spread_of(values, count);
}

/* Seconds of a processor for each GiB. */
static spread_t row_cpu(const copy_bench_t* bench, const copy_row_t* row) {
  double values[COPY_ROUNDS_MAX];
  for (size_t i = 0; i < row->count; i++) {
    values[i] = row->cpu_seconds[i] / ((double)bench->size / (1024 * 1024 * 1024));
  }
  return spread_of(values, row->count);
}

/*
 * Table.
 */

enum {
  COLUMN_PEER,
  COLUMN_RATE,
  COLUMN_SPREAD,
  COLUMN_DD,
  COLUMN_CP,
  COLUMN_CPU,
  COLUMN_COUNT
};

static int add_headings(table_t* table) {
  static const char* const headings[COLUMN_COUNT] = {"peer", "throughput", "spread", "x dd", "x cp", "CPU s/GiB"};
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  table->columns = COLUMN_COUNT;
  table->text_columns = 1;
  for (size_t i = 0; i < COLUMN_COUNT && cells != NULL; i++) {
    snprintf(cells[i], TABLE_CELL_SIZE, "%s", headings[i]);
  }
  return cells != NULL ? 0 : -1;
}

static int add_row(const copy_bench_t* bench, table_t* table, size_t block, copy_peer_t peer) {
  const copy_row_t* row = &bench->rows[block][peer];
  spread_t rate = copy_row_rate(bench, row);
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  snprintf(cells[COLUMN_PEER], TABLE_CELL_SIZE, "%s", copy_peer_text(peer));
  format_rate(cells[COLUMN_RATE], TABLE_CELL_SIZE, rate.median);
  table_set_spread(cells[COLUMN_SPREAD], rate);
  table_set_number(cells[COLUMN_DD], "%.2f", copy_row_ratio(row, &bench->rows[block][COPY_DD]).median);
  table_set_number(cells[COLUMN_CP], "%.2f", copy_row_ratio(row, &bench->rows[block][COPY_CP]).median);
  table_set_number(cells[COLUMN_CPU], "%.2f", row_cpu(bench, row).median);
  return 0;
}

static int print_block(const copy_bench_t* bench, size_t block) {
  table_t table = {0};
  char size[16];
  int error = add_headings(&table);
  for (int peer = 0; peer < COPY_PEER_COUNT && error == 0; peer++) {
    if (bench->rows[block][peer].count > 0) {
      error = add_row(bench, &table, block, (copy_peer_t)peer);
    }
  }
  if (error == 0) {
    printf("\ncopy in blocks of %s\n", format_size(size, sizeof size, bench->blocks[block]));
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

int copy_bench_print(const copy_bench_t* bench) {
  char size[16];
  int error = 0;
  printf("one file of %s, cold, to a new one on the same filesystem, durably; %llu rounds\n",
         format_size(size, sizeof size, bench->size), (unsigned long long)bench->rounds);
  for (size_t block = 0; block < bench->block_count && error == 0; block++) {
    error = print_block(bench, block);
  }
  printf("\nFigures are medians of the rounds, x are medians of the quotients within each round: how many times as fast.\n"
         "CPU is user and system time of the copying process; what the kernel does for the page cache is not in it.\n");
  for (size_t i = 0; i < bench->note_count; i++) {
    printf("%s\n", bench->notes[i]);
  }
  return error == 0 ? CLI_OK : report_error("bench", "print", "the table", UV_ENOMEM);
}

/*
 * JSON.
 */

static json_t* row_json(const copy_bench_t* bench, size_t block, copy_peer_t peer) {
  const copy_row_t* row = &bench->rows[block][peer];
  return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "peer", copy_peer_text(peer), "block_size",
                   (json_int_t)bench->blocks[block], "rounds", (json_int_t)row->count, "bytes_per_s",
                   spread_json(copy_row_rate(bench, row)), "by_dd",
                   spread_json(copy_row_ratio(row, &bench->rows[block][COPY_DD])), "by_cp",
                   spread_json(copy_row_ratio(row, &bench->rows[block][COPY_CP])), "cpu_s_per_gib",
                   spread_json(row_cpu(bench, row)));
}

json_t* copy_bench_json(const copy_bench_t* bench) {
  json_t* rows = json_array();
  json_t* notes = json_array();
  for (size_t block = 0; block < bench->block_count; block++) {
    for (int peer = 0; peer < COPY_PEER_COUNT; peer++) {
      if (bench->rows[block][peer].count > 0) {
        json_array_append_new(rows, row_json(bench, block, (copy_peer_t)peer));
      }
    }
  }
  for (size_t i = 0; i < bench->note_count; i++) {
    json_array_append_new(notes, json_string(bench->notes[i]));
  }
  return json_pack("{s:I, s:o, s:o}", "file_size", (json_int_t)bench->size, "rows", rows, "notes", notes);
}

/*
 * Picture: throughput over the block size, a curve for each peer.
 */

static const char* const colours[COPY_PEER_COUNT] = {
    [COPY_RING] = "#0072B2", [COPY_POOL] = "#56B4E9", [COPY_DD] = "#D55E00", [COPY_CP] = "#009E73"};

static void write_data(const copy_bench_t* bench, FILE* file) {
  for (int peer = 0; peer < COPY_PEER_COUNT; peer++) {
    fprintf(file, "# %s: bytes per block, bytes/s: median, least, most\n", copy_peer_text((copy_peer_t)peer));
    for (size_t block = 0; block < bench->block_count; block++) {
      spread_t rate = copy_row_rate(bench, &bench->rows[block][peer]);
      fprintf(file, "%llu %g %g %g\n", (unsigned long long)bench->blocks[block], rate.median, rate.min, rate.max);
    }
    fprintf(file, "\n\n");
  }
}

static void write_script(const copy_bench_t* bench, FILE* file) {
  char text[16];
  fprintf(file, "set terminal pngcairo size 1000,600 font 'sans,12' background 'white'\nset output 'copy.png'\n"
                "set key outside right top\nset grid lt 1 lw 1 lc rgb '#E4E4E4'\nset border 3\nset tics nomirror\n");
  fprintf(file, "set title 'copy of a file of %s, cold and durable'\nset xtics (",
          format_size(text, sizeof text, bench->size));
  for (size_t i = 0; i < bench->block_count; i++) {
    fprintf(file, "%s'%s' %llu", i > 0 ? ", " : "", format_size(text, sizeof text, bench->blocks[i]),
            (unsigned long long)bench->blocks[i]);
  }
  fprintf(file, ")\nset logscale x 2\nset offsets graph 0.05, graph 0.05\nset yrange [0:*]\n"
                "set xlabel 'bytes per block (cp has none)'\nset ylabel 'MB/s, and worst and best round'\nplot ");
  for (int peer = 0; peer < COPY_PEER_COUNT; peer++) {
    fprintf(file, "%s'copy.dat' index %d using 1:($2/1e6):($3/1e6):($4/1e6) with yerrorlines lc rgb '%s' lw 2 title '%s'",
            peer > 0 ? ", \\\n  " : "", peer, colours[peer], copy_peer_text((copy_peer_t)peer));
  }
  fprintf(file, "\n");
}

static int write_file(const copy_bench_t* bench, const char* name,
                      void (*write)(const copy_bench_t* bench, FILE* file)) {
  char* path = path_join(bench->plot, name);
  FILE* file = path != NULL ? fopen(path, "w") : NULL;
  if (file == NULL) {
    int code = report_error("bench", "write", path, uv_translate_sys_error(errno));
    free(path);
    return code;
  }
  free(path);
  write(bench, file);
  int failed = ferror(file);
  failed |= fclose(file) != 0;
  return failed ? report_problem("bench", "%s could not be written.", name) : CLI_OK;
}

static void write_results(const copy_bench_t* bench, FILE* file) {
  json_t* json = copy_bench_json(bench);
  (void)json_dumpf(json, file, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  json_decref(json);
}

static int draw(const copy_bench_t* bench) {
  char version[128];
  child_t child;
  const char* const argv[] = {"sh", "-c", "cd -- \"$0\" && exec gnuplot copy.gnuplot", bench->plot, NULL};
  if (!child_version("gnuplot", "--version", version, sizeof version)) {
    report_problem("bench", "gnuplot is not installed: %s has the data and the script, but no picture.", bench->plot);
    return CLI_OK;
  }
  if (child_run(argv, 1, &child) != 0) {
    return report_problem("bench", "gnuplot could not be started.");
  }
  free(child.output);
  return child.code == 0 ? CLI_OK : report_problem("bench", "gnuplot failed (exit code %d).", child.code);
}

int copy_bench_plot(const copy_bench_t* bench) {
  if (mkdir(bench->plot, 0777) != 0 && errno != EEXIST) {
    return report_error("bench", "create", bench->plot, uv_translate_sys_error(errno));
  }
  int code = write_file(bench, "copy.json", write_results);
  code = code == CLI_OK ? write_file(bench, "copy.dat", write_data) : code;
  code = code == CLI_OK ? write_file(bench, "copy.gnuplot", write_script) : code;
  return code == CLI_OK ? draw(bench) : code;
}
