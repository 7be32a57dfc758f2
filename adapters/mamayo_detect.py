"""which callable, and why"""
