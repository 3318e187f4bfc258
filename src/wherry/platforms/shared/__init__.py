"""What stores on SQL databases share: shapes, rights, plans. Nothing here touches a database."""
