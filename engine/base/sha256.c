/* sha256.c - the checksum people write beside model files. FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2.
 *
 * The message, followed by a bit 1, zeros and its length in bits, is taken 64 bytes at a time. Each block is stretched to 64 words and
 * stirred into eight words of state by 64 rounds of rotations, additions and choices. */
#include <stdio.h>

#include "engine/base/base.h"

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t round_key[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void stir(uint32_t h[8], const uint8_t *block) {
    uint32_t w[64], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    for (int t = 0; t < 64; t++) {
        uint32_t choose = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t t1 = k + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choose + round_key[t] + w[t];
        uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority;
        k = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}

/* The state starts with the fractions of the square roots of the first eight primes. */
void cut_sha256_init(struct cut_sha256 *s) {
    *s = (struct cut_sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void cut_sha256_add(struct cut_sha256 *s, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t have = s->bytes % 64;
    s->bytes += n;
    if (have) {
        size_t part = n < 64 - have ? n : 64 - have;
        memcpy(s->block + have, p, part);
        p += part, n -= part;
        if (have + part < 64) return;
        stir(s->h, s->block);
    }
    for (; n >= 64; p += 64, n -= 64) stir(s->h, p);
    if (n) memcpy(s->block, p, n);
}

void cut_sha256_done(struct cut_sha256 *s, char hex[65]) {
    static const uint8_t end[64] = { 0x80 };
    uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    cut_sha256_add(s, end, (119 - s->bytes % 64) % 64 + 1);
    cut_sha256_add(s, length, 8);
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", s->h[i]);
}

enum cut_status cut_sha256_file(const char *path, char hex[65], struct cut_err *err) {
    struct cut_file f;
    struct cut_sha256 s;
    enum cut_status st = cut_file_open(&f, path, false, err);
    if (st) return st;
    cut_sha256_init(&s);
    cut_sha256_add(&s, f.data, f.size);
    cut_sha256_done(&s, hex);
    cut_file_close(&f);
    return CUT_OK;
}
