#ifndef MAMAYO_T_FUZZ_H
#define MAMAYO_T_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/*
 * fuzz: a target is one function that gets bytes and aborts when something is
 * not as promised. libFuzzer calls it (./configure CC=clang --enable-fuzz), or
 * replay.c with the files of a corpus.
 */
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#endif
