<?php
// Logs in over TLS, with the certificate that the cluster's CA has signed, and counts visits.
header('Content-Type: text/plain');
$db = mysqli_init();
$db->ssl_set(null, null, '/etc/hostctl/tls/ca.crt', null, null);
$db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
$db->real_connect(getenv('DB_HOST'), 'initech_crm', getenv('DB_PASSWORD'), 'initech_crm', 3306, null, MYSQLI_CLIENT_SSL);
$db->query('CREATE TABLE IF NOT EXISTS visits (id INT AUTO_INCREMENT PRIMARY KEY)');
$db->query('INSERT INTO visits VALUES ()');
printf("crm of initech: PHP %s, visit %d in MySQL %s\n", PHP_VERSION, $db->insert_id, $db->server_info);
