/* The command that does nothing, in one system call, so that what is measured is the init and not its command. */
void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(231L), "D"(0L) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long status __asm__("x0") = 0;
	register long number __asm__("x8") = 94;
	__asm__ volatile("svc 0" : : "r"(status), "r"(number) : "memory");
#else
#error "exit_group on this architecture"
#endif
	__builtin_unreachable();
}
