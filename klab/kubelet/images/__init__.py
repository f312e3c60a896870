"""What the images that klab knows do by themselves, without their files: which ports they serve, what they answer, how they end.

Pure (sans-io): a behaviour is handed requests and gives answers; where an answer needs an effect (a command, a file, another server) it says so
as a value and is handed the result. Sockets, processes and files are the runtime's.
"""
