/* report_table.c - a table of a report as CSV, as LaTeX (booktabs), on the terminal, and for the page. */
#include "harness/report.h"
#include "harness/atomic.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- CSV ------------------------------------------------------------------------------------------------------------------- */
static void csv_field(FILE *f, const char *s, int last) {
  if (strpbrk(s, ",\"\r\n")) {
    fputc('"', f);
    for (; *s; s++) fprintf(f, *s == '"' ? "\"\"" : "%c", *s);
    fputc('"', f);
  } else {
    fputs(s, f);
  }
  fputc(last ? '\n' : ',', f);
}

static void csv(FILE *f, const fl_report_table *t) {
  for (size_t k = 0; k < t->columns; k++) csv_field(f, t->header[k], k + 1 == t->columns);
  for (size_t i = 0; i < t->rows * t->columns; i++) csv_field(f, t->cell[i], (i + 1) % t->columns == 0);
}

/* ---- LaTeX ----------------------------------------------------------------------------------------------------------------- */
static void tex_text(FILE *f, const char *s) {
  static const struct { const char *text, *tex; } other[] = {
    { "\\", "\\textbackslash{}" }, { "~", "\\textasciitilde{}" }, { "^", "\\textasciicircum{}" }, { "<", "\\textless{}" },
    { ">", "\\textgreater{}" }, { "|", "\\textbar{}" }, { "\"", "\\char34{}" }, { "±", "$\\pm$" }, { "∞", "$\\infty$" },
    { "&", "\\&" }, { "[", "{[}" }, { "*", "{*}" },   /* behind a line's end these two would be its own */
    { "%", "\\%" }, { "_", "\\_" }, { "#", "\\#" }, { "$", "\\$" }, { "{", "\\{" }, { "}", "\\}" } };
  while (*s) {
    size_t k = 0, n = sizeof other / sizeof *other;
    while (k < n && strncmp(s, other[k].text, strlen(other[k].text)) != 0) k++;
    if (k < n) fputs(other[k].tex, f), s += strlen(other[k].text);
    else fputc(*s++, f);
  }
}

static void tex_cell(FILE *f, const char *cell, int strong) {
  const char *pm = strstr(cell, " ± ");
  if (!strcmp(cell, "-")) fputs("--", f);
  else if (!strcmp(cell, "inf")) fputs("$\\infty$", f);
  else if (!strong) tex_text(f, cell);
  else if (pm) fprintf(f, "$\\mathbf{%.*s} \\pm %s$", (int)(pm - cell), cell, pm + strlen(" ± "));
  else fputs("\\textbf{", f), tex_text(f, cell), fputs("}", f);
}

/* The problem is a heading over its rows, not a column; of one problem the caption tells. */
static void tex(FILE *f, const fl_report_table *t, const char *size) {
  const int grouped = !strcmp(t->header[0], "data, model");
  const size_t from = grouped ? 1 : 0;
  if (*size) fprintf(f, "{%s\\setlength{\\tabcolsep}{3pt}%%\n", size);
  fputs("\\begin{tabular}{l", f);
  for (size_t k = from + 1; k < t->columns; k++) fputc('r', f);
  fputs("}\n\\toprule\n", f);
  for (size_t k = from; k < t->columns; k++) {
    tex_text(f, t->header[k]);
    fputs(k + 1 < t->columns ? " & " : " \\\\\n\\midrule\n", f);
  }
  const char *problem = t->cell[0];
  const int several = grouped && strcmp(problem, t->cell[(t->rows - 1) * t->columns]) != 0;
  for (size_t i = 0; i < t->rows; i++) {
    char *const *cell = t->cell + i * t->columns;
    if (several && (!i || strcmp(problem, cell[0]))) {
      fprintf(f, "%s\\multicolumn{%zu}{l}{\\emph{", i ? "\\addlinespace\n" : "", t->columns - 1);
      tex_text(f, problem = cell[0]);
      fputs("}} \\\\\n", f);
    }
    for (size_t k = from; k < t->columns; k++) {
      tex_cell(f, cell[k], t->strong[i * t->columns + k]);
      fputs(k + 1 < t->columns ? " & " : " \\\\\n", f);
    }
  }
  fprintf(f, "\\bottomrule\n\\end{tabular}%s\n", *size ? "}" : "");
}

static void caption(FILE *f, const fl_report_table *t) {
  const int grouped = !strcmp(t->header[0], "data, model");
  fputs("\\caption{", f);
  if (grouped && !strcmp(t->cell[0], t->cell[(t->rows - 1) * t->columns])) tex_text(f, t->cell[0]), fputs(". ", f);
  tex_text(f, t->caption);
  fprintf(f, "}\\label{tab:%s}\n", t->name);
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */
static int save(const fl_report_table *t, const char *out, const char *suffix, int kind, const char *size_command, char *err,
                size_t err_size) {
  char path[4400], *bytes = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&bytes, &n);
  if (!f) abort();
  if (kind == 0) csv(f, t);
  else if (kind == 1) tex(f, t, size_command);
  else caption(f, t);
  if (fclose(f)) abort();
  snprintf(path, sizeof path, "%s/%s%s", out, t->name, suffix);
  const int bad = fl_file_write(path, bytes, n, err, err_size);
  free(bytes);
  return bad;
}

/* What an earlier report of other runs left there is no table of these. */
static int remove_old(const fl_report_table *t, const char *out, char *err, size_t err_size) {
  static const char *const suffix[] = { ".csv", ".tex", "-caption.tex" };
  char path[4400];
  for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
    snprintf(path, sizeof path, "%s/%s%s", out, t->name, suffix[i]);
    if (unlink(path) && errno != ENOENT)
      return snprintf(err, err_size, "cannot remove '%s', of an earlier report: %s", path, strerror(errno)), -1;
  }
  return 0;
}

int fl_report_table_write(const fl_report_table *t, const char *out, const char *size, char *err, size_t err_size) {
  if (!t->rows) return remove_old(t, out, err, err_size);
  return save(t, out, ".csv", 0, size, err, err_size) || save(t, out, ".tex", 1, size, err, err_size) ||
      save(t, out, "-caption.tex", 2, size, err, err_size) ? -1 : 0;
}

static size_t width(const char *s) {                        /* of UTF-8: what is no continuation byte */
  size_t n = 0;
  for (; *s; s++) n += (*s & 0xc0) != 0x80;
  return n;
}

void fl_report_table_print(const fl_report_table *t, FILE *f) {
  size_t *wide = calloc(t->columns + 1, sizeof *wide);
  if (!wide) abort();
  for (size_t k = 0; k < t->columns; k++) {
    wide[k] = width(t->header[k]);
    for (size_t i = 0; i < t->rows; i++) {
      const size_t w = width(t->cell[i * t->columns + k]);
      if (w > wide[k]) wide[k] = w;
    }
  }
  for (size_t i = 0; i <= t->rows; i++) {
    for (size_t k = 0; k < t->columns; k++) {
      const char *cell = i ? t->cell[(i - 1) * t->columns + k] : t->header[k];
      const int pad = (int)(wide[k] - width(cell));
      if (k < 2) fprintf(f, "%s%*s", cell, pad + 2, "");
      else fprintf(f, "%*s%s%s", pad, "", cell, k + 1 < t->columns ? "  " : "\n");
    }
  }
  free(wide);
}

json_t *fl_report_table_json(const fl_report_table *t) {
  json_t *header = json_array(), *rows = json_array(), *strong = json_array();
  for (size_t k = 0; k < t->columns; k++) json_array_append_new(header, json_string(t->header[k]));
  for (size_t i = 0; i < t->rows; i++) {
    json_t *row = json_array(), *bold = json_array();
    for (size_t k = 0; k < t->columns; k++) {
      json_array_append_new(row, json_string(t->cell[i * t->columns + k]));
      json_array_append_new(bold, json_boolean(t->strong[i * t->columns + k]));
    }
    json_array_append_new(rows, row);
    json_array_append_new(strong, bold);
  }
  return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", t->name, "caption", t->caption, "header", header, "rows", rows, "strong",
                   strong);
}
