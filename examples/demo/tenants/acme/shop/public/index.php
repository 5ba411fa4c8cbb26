<?php
header('Content-Type: text/plain');
$user = posix_getpwuid(posix_geteuid())['name'] ?? 'unknown';
printf("shop of acme: PHP %s runs as %s (uid %d), currency %s\n", PHP_VERSION, $user, posix_geteuid(), getenv('SHOP_CURRENCY'));
