/* my_method.h - what the files of the plug-in share. */
#ifndef MY_METHOD_H
#define MY_METHOD_H
#include <fedlane/plugin.h>

extern const fl_rule my_ngd;
extern const fl_stage my_anchor;
#endif
