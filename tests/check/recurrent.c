/* recurrent.c - tests of the cells of recurrent networks. */
#include "check.h"

#define COUNT(x) (sizeof(x) / sizeof *(x))
enum { GAP = 3 };

/* s: rows, n, distances of gates, of states; 1 when there is a state before */
static void call_lstm(const fl_kernels *k, call *c) {
  k->lstm_cell(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->s[4] ? c->p[2] : NULL, c->p[3], c->s[3], c->p[4], c->s[3]);
}
static void call_lstm_back(const fl_kernels *k, call *c) {
  k->lstm_cell_back(c->s[0], c->s[1], c->p[0], c->s[2], c->s[4] ? c->p[1] : NULL, c->p[2], c->s[3], c->p[3], c->p[4], c->p[5]);
}
static void call_gru(const fl_kernels *k, call *c) {
  k->gru_cell(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->p[2], c->s[3], c->s[4] ? c->p[3] : NULL, c->p[4], c->s[3]);
}
static void call_gru_back(const fl_kernels *k, call *c) {
  k->gru_cell_back(c->s[0], c->s[1], c->p[0], c->s[2], c->p[1], c->s[3], c->s[4] ? c->p[2] : NULL, c->s[3], c->p[3], c->p[4]);
}
enum { LSTM, LSTM_BACK, GRU, GRU_BACK };

static void one(check *t, int which, size_t rows, size_t n, int before, int kind) {
  const size_t width = (which == GRU || which == GRU_BACK ? 3 : 4) * n, ldg = width + GAP, ld = n + 1, dense = rows * n;
  const size_t gates = rows ? (rows - 1) * ldg + width : 0, all = rows ? (rows - 1) * ld + n : 0;
  const float *g = some_floats(t, 0, gates, kind), *a = some_floats(t, 1, all, kind), *b = some_floats(t, 2, all, kind);
  const float *bias = some_floats(t, 3, 4 * n, kind), *d = some_floats(t, 4, dense, kind), *e = some_floats(t, 5, dense, kind);
#define IN(n, init) { 'i', 'f', (n), (init), -1, 0, 0 }
  const arg gate_rows = { 'x', 'f', gates, g, -1, 0, 0 };
  const arg out = { 'o', 'f', all, NULL, -1, n, ld };
  const arg lstm[] = { gate_rows, IN(4 * n, bias), IN(all, a), out, out };
  const arg lstm_back[] = { gate_rows, IN(all, a), IN(all, b), IN(dense, d), { 'x', 'f', dense, e, -1, 0, 0 },
                            { 'o', 'f', 4 * dense, NULL, -1, 0, 0 } };
  const arg gru[] = { gate_rows, IN(4 * n, bias), { 'x', 'f', all, b, -1, 0, 0 }, IN(all, a), out };
  const arg gru_back[] = { gate_rows, { 'x', 'f', all, b, -1, 0, 0 }, IN(all, a), { 'x', 'f', dense, d, -1, 0, 0 },
                           { 'o', 'f', 3 * dense, NULL, -1, 0, 0 } };
  call c = { .s = { rows, n, ldg, ld, (size_t)before } };
  char what[96];
  snprintf(what, sizeof what, "rows=%zu n=%zu before=%d kind=%d", rows, n, before, kind);
  if (which == LSTM) { run_case(t, what, call_lstm, &c, COUNT(lstm), lstm); }
  if (which == LSTM_BACK) { run_case(t, what, call_lstm_back, &c, COUNT(lstm_back), lstm_back); }
  if (which == GRU) { run_case(t, what, call_gru, &c, COUNT(gru), gru); }
  if (which == GRU_BACK) { run_case(t, what, call_gru_back, &c, COUNT(gru_back), gru_back); }
}

static void all_cells(check *t, int which) {
  static const size_t rows[] = { 0, 1, 3 }, widths[] = { 1, 7, 16, 17, 31, 33, 64, 100 };
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (size_t j = 0; j < COUNT(widths); j++) {
      for (int kind = 0; kind < KINDS; kind++) {
        if (t->quick && (i + j + (size_t)kind) % 3) { continue; }
        one(t, which, rows[i], widths[j], (int)(j % 2), kind);
        if (!t->quick) { one(t, which, rows[i], widths[j], (int)(1 - j % 2), kind); }
      }
    }
  }
}
void check_lstm_cell(check *t) { all_cells(t, LSTM); }
void check_lstm_cell_back(check *t) { all_cells(t, LSTM_BACK); }
void check_gru_cell(check *t) { all_cells(t, GRU); }
void check_gru_cell_back(check *t) { all_cells(t, GRU_BACK); }
