/* sha256.c - SHA-256 in hexadecimal, by OpenSSL's libcrypto (it uses the CPU's SHA instructions where there are any). */
#include "harness/data.h"
#include <openssl/evp.h>
#include <stdlib.h>

void fl_sha256(const void *bytes, size_t n, char out[65]) {
  static const char hex[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  /* Fails only without memory or without the algorithm; a hash that is silently wrong would be worse than to stop. */
  if (EVP_Digest(n ? bytes : "", n, digest, &size, EVP_sha256(), NULL) != 1 || size != 32) abort();
  for (unsigned i = 0; i < 32; i++) {
    out[2 * i] = hex[digest[i] >> 4];
    out[2 * i + 1] = hex[digest[i] & 15];
  }
  out[64] = 0;
}
