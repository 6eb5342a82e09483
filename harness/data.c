/* data.c - data sets by name or by path, ready for a model: both splits, classes, mean and deviation. */
#include "harness/data_file.h"
#include <fedlane/optimizer.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct known { const char *name, *folder, *package, *help; size_t classes; double mean, std; } known[] = {
  { "fashion_mnist", "fashion-mnist", "dataset-fashion-mnist",
    "Fashion-MNIST, 60,000 + 10,000 images of 28x28, 10 classes (Debian package dataset-fashion-mnist)", 10, 0.2860, 0.3530 },
  { "mnist", "mnist", NULL,
    "MNIST, 60,000 + 10,000 images of 28x28, 10 classes (scripts/download mnist, or its files in $FEDLANE_DATA/mnist)", 10,
    0.1307, 0.3081 },
  { "cifar10", "cifar-10/cifar-10-batches-bin", NULL,
    "CIFAR-10, 50,000 + 10,000 images of 3x32x32, 10 classes (scripts/download cifar10, or $FEDLANE_DATA/cifar-10/cifar-10-"
    "batches-bin)",
    10, 0, 1 },
  { "cifar100", "cifar-100/cifar-100-binary", NULL,
    "CIFAR-100, 50,000 + 10,000 images of 3x32x32, 100 classes (scripts/download cifar100, or $FEDLANE_DATA/cifar-100/cifar-"
    "100-binary)",
    100, 0, 1 },
};
#define N_KNOWN (sizeof known / sizeof *known)
/* The sets of CIFAR's binary files: means and deviations of red, green and blue. */
static const struct cifar { const char *name; double channel[6]; } cifar[] = {
  { "cifar10", { 0.4914, 0.4822, 0.4465, 0.2470, 0.2435, 0.2616 } },
  { "cifar100", { 0.5071, 0.4865, 0.4409, 0.2673, 0.2564, 0.2762 } },
};
enum { COARSE = 20 };                           /* classes of CIFAR-100's coarse labels */
#define SYSTEM_FOLDER "/usr/share/datasets"

size_t fl_dataset_known_count(void) { return N_KNOWN; }

const char *fl_dataset_known(size_t i, const char **help) {
  if (i >= N_KNOWN) return NULL;
  if (help) *help = known[i].help;
  return known[i].name;
}

/* Exact integer sums over the training pixels, so the result does not depend on any order. */
static int statistics(fl_dataset *d, const char *path, char *err, size_t err_size) {
  __extension__ typedef unsigned __int128 wide;
  const size_t row = d->train.c * d->train.h * d->train.w;
  const uint64_t n = (uint64_t)d->train.n * row;
  uint64_t sum = 0, squares = 0;
  for (size_t i = 0; i < n; i += 4096) {        /* short inner sums fit 32 bits and vectorise */
    const size_t end = n - i < 4096 ? n : i + 4096;
    uint32_t s = 0, q = 0;
    for (size_t j = i; j < end; j++) {
      const uint32_t v = d->train.pixels[j];
      s += v, q += v * v;
    }
    sum += s, squares += q;
  }
  const wide variance = (wide)n * squares - (wide)sum * sum;
  if (!variance) {
    snprintf(err, err_size, "%s: all training pixels have the same value; inputs cannot be normalised", path);
    return -1;
  }
  d->mean = (double)sum / (double)n / 255.0;
  d->std = sqrt((double)variance) / (double)n / 255.0;
  return 0;
}

static size_t labels_of(const fl_part *p) { return p->n * (p->positions ? p->positions : 1); }

/* Largest label of a split against `allowed` classes (0: any). */
static int count_classes(const fl_part *p, size_t allowed, size_t *classes, char *err, size_t err_size) {
  for (size_t i = 0; i < labels_of(p); i++) {
    const uint32_t label = p->label32 ? p->label32[i] : p->label[i];
    if (allowed && label >= allowed) {
      snprintf(err, err_size, "%s: label %u of sample %zu; allowed 0 to %zu", p->file[1].path, label, i, allowed - 1);
      return -1;
    }
    if (label >= *classes) *classes = label + 1u;
  }
  return 0;
}

/* Labels that were read as words become bytes where they fit. */
static int narrow(fl_part *p, size_t classes) {
  if (!p->label32 || classes > FL_BYTE_CLASSES) return 0;
  if (!(p->label = malloc(labels_of(p)))) return -1;
  for (size_t i = 0; i < labels_of(p); i++) p->label[i] = (uint8_t)p->label32[i];
  free(p->label32);
  p->label32 = NULL;
  return 0;
}

static void adopt(fl_dataset *d, fl_part part[2], size_t classes) {
  fl_samples *to[2] = { &d->train, &d->test };
  for (size_t i = 0; i < 2; i++) {
    const fl_part *p = &part[i];
    *to[i] = (fl_samples){ .n = p->n, .c = p->c, .h = p->h, .w = p->w, .classes = p->n ? classes : 0, .pixels = p->pixels,
                           .label = p->label, .label32 = p->label32, .features = p->features, .tokens = p->tokens,
                           .positions = p->positions, .begin = p->begin, .column = p->column, .value = p->value };
    for (size_t f = 0; f < sizeof part[i].file / sizeof *part[i].file; f++)
      if (part[i].file[f].path[0]) d->file[d->n_files++] = part[i].file[f];
  }
  d->client = part[0].client;
}

static const struct cifar *cifar_of(const char *name) {
  for (size_t i = 0; i < sizeof cifar / sizeof *cifar; i++)
    if (!strcmp(cifar[i].name, name)) return &cifar[i];
  return NULL;
}

static int check_parts(const fl_part part[2], size_t classes, const char *path, char *err, size_t err_size) {
  const fl_part *a = &part[0], *b = &part[1];
  if (classes < 2)
    return snprintf(err, err_size, "%s: every label is 0; a classifier needs at least 2 classes", path), -1;
  if (b->n && (b->c != a->c || b->h != a->h || b->w != a->w))
    return snprintf(err, err_size, "%s: test samples are %zux%zux%zu, training samples %zux%zux%zu (channels, rows, columns)",
                    path, b->c, b->h, b->w, a->c, a->h, a->w), -1;
  if (b->n && (b->positions != a->positions || !b->pixels != !a->pixels || !b->tokens != !a->tokens))
    return snprintf(err, err_size, "%s: test samples are not of the training samples' kind (bytes, numbers or tokens; labels a "
                                   "row)", path), -1;
  if (a->n > UINT32_MAX || b->n > UINT32_MAX) return snprintf(err, err_size, "%s: more than 2^32 - 1 samples", path), -1;
  return 0;
}

/* allowed: classes, 0: as many as there are. */
static int finish(fl_dataset *d, fl_part part[2], const struct known *k, size_t allowed, const char *path, char *err,
                  size_t err_size) {
  size_t classes = allowed;
  for (size_t i = 0; i < 2; i++)
    if (count_classes(&part[i], allowed, &classes, err, err_size)) return -1;
  if (narrow(&part[0], classes) || narrow(&part[1], classes))
    return snprintf(err, err_size, "%s: no memory for its labels", path), -1;
  adopt(d, part, classes);
  if (check_parts(part, classes, path, err, err_size)) return -1;
  if (d->train.positions && !(d->unlabelled = calloc(d->train.n, 1)))
    return snprintf(err, err_size, "%s: no memory for %zu rows", path, d->train.n), -1;
  if (!d->train.pixels) return d->std = 1, 0;   /* inputs as they are */
  if (!k) return statistics(d, path, err, err_size);
  d->mean = k->mean;
  d->std = k->std;
  const struct cifar *of = cifar_of(k->name);
  if (of) memcpy(d->channel, of->channel, sizeof d->channel);
  if (of) d->train.channel = d->test.channel = d->channel;
  return 0;
}

/* Of a set by name: $FEDLANE_DATA/FOLDER, or where the system has it. */
static int known_folder(const struct known *k, char out[512], char *err, size_t err_size) {
  const char *root = getenv("FEDLANE_DATA");
  if (!root || !*root) root = SYSTEM_FOLDER;
  if (strlen(root) > 400) return snprintf(err, err_size, "FEDLANE_DATA: %zu characters; allowed 400", strlen(root)), -1;
  snprintf(out, 512, "%s/%s", root, k->folder);
  return 0;
}

static int find_known(const struct known *k, fl_part part[2], char *err, size_t err_size) {
  char folder[512], why[700] = "";
  if (known_folder(k, folder, err, err_size)) return -1;
  for (size_t i = 0; i < 2; i++) {
    if (!fl_idx_find(folder, i ? "t10k" : "train", &part[i], why, sizeof why)) continue;
    if (!strstr(why, "-ubyte:") && !strstr(why, "-ubyte.gz:")) /* the folder itself is missing: name the file */
      snprintf(why, sizeof why, "%s/%s-images-idx3-ubyte.gz: not found", folder, i ? "t10k" : "train");
    snprintf(err, err_size,
             "data set %s: %s. %s%s%s it with scripts/download %s and set FEDLANE_DATA to the folder that has %s/, or give the "
             "files in the configuration: data: {format: idx, train: PATH, test: PATH}", k->name, why,
             k->package ? "Install the Debian package " : "", k->package ? k->package : "", k->package ? ", or fetch" : "Fetch",
             k->name, k->folder);
    return -1;
  }
  return 0;
}

static int load_idx(fl_dataset *d, const struct known *k, const char *train, const char *test, fl_part part[2], char *err,
    size_t err_size) {
  char ignored[700];
  size_t n = 2;
  if (k) {
    if (find_known(k, part, err, err_size)) return -1;
  } else {
    if (fl_idx_find(train, "train", &part[0], err, err_size)) return -1;
    if (test && *test) {
      if (fl_idx_find(test, "t10k", &part[1], err, err_size)) return -1;
    } else if (fl_idx_find(train, "t10k", &part[1], ignored, sizeof ignored) ||
               !strcmp(part[0].file[0].path, part[1].file[0].path)) {
      memset(&part[1], 0, sizeof part[1]);      /* a folder may bring its test set; a single file has none */
      n = 1;
    }
  }
  if (fl_idx_load(part, n, err, err_size)) return -1;
  return finish(d, part, k, k ? k->classes : 0, k ? k->name : train, err, err_size);
}

/* folder NULL: the one of the set's name. */
static int load_cifar(fl_dataset *d, const struct known *k, const char *folder, int coarse, fl_part part[2], char *err,
                      size_t err_size) {
  const size_t classes = coarse ? COARSE : k->classes;
  char own[512], why[700];
  if (!folder && known_folder(k, own, err, err_size)) return -1;
  if (!fl_cifar_load(folder ? folder : own, classes, part, why, sizeof why))
    return finish(d, part, k, classes, k->name, err, err_size);
  if (folder) snprintf(err, err_size, "%s", why);
  else
    snprintf(err, err_size, "data set %s: %s. Fetch it with scripts/download %s and set FEDLANE_DATA to the folder that has %s/, "
             "or give the folder in the configuration: data: {format: %s, train: FOLDER}", k->name, why, k->name, k->folder,
             k->name);
  return -1;
}

static const struct known *find_name(const char *name, char *err, size_t err_size) {
  const char *names[N_KNOWN];
  for (size_t i = 0; i < N_KNOWN; i++) {
    if (!strcmp(known[i].name, name)) return &known[i];
    names[i] = known[i].name;
  }
  fl_unknown("data.name", "data set", name, names, N_KNOWN, err, err_size);
  const size_t at = strlen(err);
  snprintf(err + at, err_size - at, "; or {format: FORMAT, train: PATH, test: PATH}");
  return NULL;
}

static const struct known *cifar_format(const char *format) {
  for (size_t i = 0; i < N_KNOWN; i++)
    if (!strcmp(known[i].name, format) && cifar_of(format)) return &known[i];
  return NULL;
}

const char *const fl_data_formats[] = { "idx", "npz", "npy", "cifar10", "cifar100", "libsvm", "text", "sentences", "alpha_beta",
                                        "blobs" };
const size_t fl_data_format_count = sizeof fl_data_formats / sizeof *fl_data_formats;
const fl_data_options fl_data_defaults = { .length = 80, .seed = 1, .users = 30, .alpha = 1, .beta = 1, .rows = 1000,
                                            .features = 2, .classes = 3, .spread = 1 };

int fl_format_is_made(const char *format) { return !strcmp(format, "alpha_beta") || !strcmp(format, "blobs"); }

static int is_format(const char *format) {
  size_t i = 0;
  while (i < fl_data_format_count && strcmp(fl_data_formats[i], format)) i++;
  return i < fl_data_format_count;
}

/* Whether training and test rows are files of their own. */
static int has_test_file(const char *format) {
  return !strcmp(format, "idx") || !strcmp(format, "libsvm") || !strcmp(format, "text") || !strcmp(format, "sentences");
}

static int load_format(fl_dataset *d, const char *format, const char *train, const char *test, const fl_data_options *o,
                       fl_part part[2], char *err, size_t size) {
  const char *other = test && *test ? test : NULL;
  if (!is_format(format)) {
    const size_t at = (size_t)snprintf(err, size, "data.format: unknown format \"%s\"; allowed:", format);
    for (size_t i = 0, n = at; i < fl_data_format_count && n < size; i++)
      n += (size_t)snprintf(err + n, size - n, "%s %s", i ? "," : "", fl_data_formats[i]);
    return -1;
  }
  if (fl_format_is_made(format))
    return fl_made_load(d, format, o, part, err, size) || finish(d, part, NULL, d->n_values, format, err, size) ? -1 : 0;
  if (!train || !*train)
    return snprintf(err, size, "data.train: missing; format %s needs the path of the training data", format), -1;
  if (other && !has_test_file(format))
    return snprintf(err, size, "data.test: \"%s\"; not allowed with format %s (data.train has the test rows, too)", test, format),
           -1;
  if (!strcmp(format, "idx")) return load_idx(d, NULL, train, test, part, err, size);
  if (cifar_format(format)) return load_cifar(d, cifar_format(format), train, o->coarse, part, err, size);
  const int bad = !strcmp(format, "npz")      ? fl_npz_load(train, part, err, size)
                  : !strcmp(format, "npy")    ? fl_npy_load(train, part, err, size)
                  : !strcmp(format, "libsvm") ? fl_libsvm_load(d, train, other, o, part, err, size)
                  : !strcmp(format, "text")   ? fl_text_load(d, train, other, o, part, err, size)
                                              : fl_sentences_load(train, other, o, part, err, size);
  return bad || finish(d, part, NULL, d->n_values, train, err, size) ? -1 : 0;
}

int fl_dataset_load(fl_dataset *d, const char *name, const char *format, const char *train, const char *test,
                    const fl_data_options *given, char *err, size_t err_size) {
  const fl_data_options *o = given ? given : &fl_data_defaults;
  fl_part part[2] = { 0 };
  int failed = -1;
  const int plain = !format || !*format;
  *d = (fl_dataset){ 0 };
  if (plain) {
    const struct known *k = find_name(name ? name : "", err, err_size);
    if (!k) return -1;
    const int is_100 = !strcmp(k->name, "cifar100");
    failed = cifar_of(k->name) ? load_cifar(d, k, NULL, is_100 && o->coarse, part, err, err_size)
                               : load_idx(d, k, NULL, NULL, part, err, err_size);
  } else {
    failed = load_format(d, format, train, test, o, part, err, err_size);
  }
  snprintf(d->name, sizeof d->name, "%s", name && *name ? name : plain ? "" : format);
  if (failed) {
    if (!d->train.n) d->n_files = 0, adopt(d, part, 0);
    fl_dataset_free(d);
  }
  return failed;
}

void fl_dataset_scale(fl_dataset *d, fl_scaling scaling) {
  if (scaling == FL_SCALING_UNIT) d->mean = 0, d->std = 1;
  if (scaling == FL_SCALING_SYMMETRIC) d->mean = d->std = 0.5;
  if (scaling != FL_SCALING_STANDARD) d->train.channel = d->test.channel = NULL;
}
