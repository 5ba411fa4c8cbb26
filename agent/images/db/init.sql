ALTER USER 'root'@'localhost' IDENTIFIED WITH auth_socket;
