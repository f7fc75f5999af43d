/* models.h - a folder with stand-ins for the two bundled models, so that figures in tests do not depend on theirs. */
#ifndef TEST_LUA_MODELS_H
#define TEST_LUA_MODELS_H

/* pebble: 4 layers, 8 heads over 4, 256 wide, 1024 tokens; pebble-draft: one layer. Made on the first call; NULL after
 * a failure was reported. */
const char *test_models(void);

#endif
