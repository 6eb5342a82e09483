/* safetensors.h - parameters as a safetensors file: 8 bytes header length, JSON header, little-endian F32 in layout order. */
#ifndef FEDLANE_SAFETENSORS_H
#define FEDLANE_SAFETENSORS_H
#include <fedlane/objective.h>
#include <jansson.h>

/* Names and shapes of the layout; its data section has the SHA-256 of fl_params_hash. 0, or -1 with a message. */
int fl_safetensors_write(const char *path, const fl_layout *, const float *x, char *err, size_t err_size);

typedef struct { json_t *header; unsigned char *memory; const unsigned char *data; size_t size; } fl_safetensors;
/* Reads any safetensors file whole and checks header, offsets and sizes. */
int fl_safetensors_read(fl_safetensors *, const char *path, char *err, size_t err_size);
/* The bytes of a tensor of the header, in data. */
void fl_safetensors_range(const json_t *tensor, size_t *begin, size_t *end);
void fl_safetensors_free(fl_safetensors *);
/* Every tensor of the layout from the file, which has these with these shapes as F32, and no others (but PyTorch's counters
 * num_batches_tracked). 0, or -1 with a message that names path and tensor. */
int fl_safetensors_fill(const fl_safetensors *, const char *path, const fl_layout *, float *x, char *err, size_t err_size);
#endif
