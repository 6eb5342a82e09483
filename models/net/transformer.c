/* transformer.c - networks of attention: blocks that add to a sequence first what attention, then what two linear layers make of
 * its normalised positions. Names of blocks as in timm's. */
#include "models/net/net.h"

/* A block reads `from`, and ends as NAME.add2. attn, in, out: settings of its attention and of the two linear layers. */
#define BLOCK(name, from, norm, attn, in, act, out)                                                                         \
  FL_READS("layer_norm", name ".norm1", norm, from), FL_NEXT("attention", name ".attn", attn),                              \
  FL_READS("add", name ".add1", "", from " " name ".attn"), FL_NEXT("layer_norm", name ".norm2", norm),                     \
  FL_NEXT("linear", name ".mlp.fc1", in), FL_NEXT(act, name ".mlp.act", ""), FL_NEXT("linear", name ".mlp.fc2", out),       \
  FL_READS("add", name ".add2", "", name ".add1 " name ".mlp.fc2")
#define AFTER(number) "blocks." number ".add2"

/* The character transformer of lectures: no final norm, no bias of queries, keys and values; everything begins as PyTorch's
 * layers do. */
#define GPT(number, from) \
  BLOCK("blocks." number, from, "", "heads=6 causal=yes qkv_bias=no", "out=96", "relu", "out=24")
static const fl_layer_spec gpt[] = {
  FL_NEXT("embedding", "embed", "tokens=0 out=24"), FL_NEXT("position", "pos", ""),
  GPT("0", "pos"), GPT("1", AFTER("0")), GPT("2", AFTER("1")), GPT("3", AFTER("2")), GPT("4", AFTER("3")), GPT("5", AFTER("4")),
  FL_NEXT("linear", "head", ""),
};
const fl_net fl_net_mini_gpt = {
  "mini_gpt", "character transformer: 6 blocks of 24 features, 6 heads, 96 (46,289 parameters at 8 positions of 65 characters)",
  sizeof gpt / sizeof *gpt, gpt
};

/* The tiny vision transformer of DeiT, over patches of 4x4; matrices, positions and class token begin normal with 0.02, as
 * there. */
#define VIT(number, from) \
  BLOCK("blocks." number, from, "eps=1e-6", "heads=3 std=0.02", "out=768 std=0.02", "gelu", "out=192 std=0.02")
static const fl_layer_spec vit[] = {
  FL_NEXT("conv", "patch_embed.proj", "out=192 kernel=4 stride=4"), FL_NEXT("sequence", "patch_embed.flatten", ""),
  FL_NEXT("class_token", "cls", "std=0.02"), FL_NEXT("position", "pos", "std=0.02"),
  VIT("0", "pos"), VIT("1", AFTER("0")), VIT("2", AFTER("1")), VIT("3", AFTER("2")), VIT("4", AFTER("3")), VIT("5", AFTER("4")),
  VIT("6", AFTER("5")), VIT("7", AFTER("6")), VIT("8", AFTER("7")), VIT("9", AFTER("8")), VIT("10", AFTER("9")),
  VIT("11", AFTER("10")),
  FL_NEXT("layer_norm", "norm", "eps=1e-6"), FL_NEXT("sequence_pool", "pool", "of=first"), FL_NEXT("linear", "head", "std=0.02"),
};
const fl_net fl_net_vit_tiny = {
  "vit_tiny", "ViT-Tiny/4: class token, 12 blocks of 192 features, 3 heads, 768 (5,362,762 parameters on 3x32x32)",
  sizeof vit / sizeof *vit, vit
};

/* Sentences as bytes: attention both ways, and the mean of all positions, those behind a sentence's end among them. */
#define TEXT(number, from) BLOCK("blocks." number, from, "", "heads=4", "out=512", "gelu", "out=128")
static const fl_layer_spec text[] = {
  FL_NEXT("embedding", "embed", "tokens=256 out=128"), FL_NEXT("position", "pos", ""),
  TEXT("0", "pos"), TEXT("1", AFTER("0")), TEXT("2", AFTER("1")), TEXT("3", AFTER("2")),
  FL_NEXT("layer_norm", "norm", ""), FL_NEXT("sequence_pool", "pool", ""), FL_NEXT("linear", "head", ""),
};
const fl_net fl_net_text_transformer = {
  "text_transformer", "transformer over bytes: 4 blocks of 128 features, 4 heads, 512 (834,562 parameters: 64 bytes, 2 classes)",
  sizeof text / sizeof *text, text
};
