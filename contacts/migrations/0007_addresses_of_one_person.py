import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Several addresses of one person in one account, and what is known about each of them.

    What was known about the pair (person, channel) does not say about which address: it is forgotten and learned again,
    at the price of one call per person whom a channel could not reach.
    """

    dependencies = [
        ('contacts', '0006_longer_addresses'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='contactaddress',
            name='address_one_per_contact_and_channel',
        ),
        migrations.AddField(
            model_name='contactaddress',
            name='seen_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='last seen'),
        ),
        migrations.RunSQL('UPDATE contacts_contactaddress SET seen_at = created_at', migrations.RunSQL.noop),
        migrations.RunSQL('DELETE FROM contacts_reachability', migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name='reachability',
            name='reachability_one_per_channel',
        ),
        migrations.AddField(
            model_name='reachability',
            name='address',
            field=models.CharField(default='', max_length=1000, verbose_name='address'),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name='reachability',
            constraint=models.UniqueConstraint(
                fields=('contact', 'channel_id', 'address'), name='reachability_one_per_address'
            ),
        ),
    ]
