#ifndef MAMAYO_TRACE_H
#define MAMAYO_TRACE_H

/*
 * trace: a process of ours that dies of an error, or is told to abort because
 * it is stuck, writes to the log where it is: one line per function, the
 * innermost first. "mamayo.fcgi(+0x1234)" is for addr2line -e mamayo.fcgi.
 * Nothing where the system cannot look at a stack.
 */
void trace_on_death(void);

#endif
