#!/bin/sh
# Packages start no daemons here: s6 does.
exit 101
