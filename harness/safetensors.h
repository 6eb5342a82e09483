/* safetensors.h - parameters as a safetensors file: 8 bytes header length, JSON header, little-endian F32 in layout order. */
#ifndef FEDLANE_SAFETENSORS_H
#define FEDLANE_SAFETENSORS_H
#include "models/model.h"
#include <jansson.h>

/* Names and shapes of the layout; its data section has the SHA-256 of fl_params_hash. adapters: those that the layout has, whose
 * rank and alpha go into the header (lora_rank, lora_alpha), or NULL. 0, or -1 with a message. */
int fl_safetensors_write(const char *path, const fl_layout *, const fl_adapter_form *adapters, const float *x, char *err,
                         size_t err_size);

typedef struct { json_t *header; unsigned char *memory; const unsigned char *data; size_t size; } fl_safetensors;
/* Reads any safetensors file whole and checks header, offsets and sizes. */
int fl_safetensors_read(fl_safetensors *, const char *path, char *err, size_t err_size);
/* The bytes of a tensor of the header, in data. */
void fl_safetensors_range(const json_t *tensor, size_t *begin, size_t *end);
void fl_safetensors_free(fl_safetensors *);
/* Every tensor of the layout from the file, which has these with these shapes as F32, and no others (but PyTorch's counters
 * num_batches_tracked). 0, or -1 with a message that names path and tensor. */
int fl_safetensors_fill(const fl_safetensors *, const char *path, const fl_layout *, float *x, char *err, size_t err_size);
/* Adapters of the file have the network's alpha, if it says theirs: other software's do not. 0, or -1 with a message, as the same
 * tensors are another network with another alpha. */
int fl_safetensors_alpha(const fl_safetensors *, const char *path, const fl_net *, char *err, size_t err_size);
#endif
