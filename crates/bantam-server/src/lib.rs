//! A bundle over HTTP: the endpoints, a file for each family, and a chat page.
